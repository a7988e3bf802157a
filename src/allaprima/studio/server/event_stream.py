"""Server-sent events: an answer that comes in parts, and work that stops when its reader leaves."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from allaprima.core.errors import AllaPrimaError
from allaprima.studio.server.errors import ProblemError, problem_response, to_problem

Events = AsyncGenerator[tuple[str, Mapping[str, Any]] | None, None]
"""Name and data of each event; a first None says that the work was taken on, before there is an event."""


class EventStream(Response):
    """An answer that sends `events` as they come. It waits for the first, so that a refusal keeps its own status."""

    media_type = "text/event-stream"

    def __init__(self, events: Events, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(headers=headers)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        # Closed here whatever happens: Starlette's own streaming leaves a generator to the garbage collector.
        async with aclosing(self._events) as events:
            try:
                first = await anext(events, None)
            except (ProblemError, AllaPrimaError) as error:
                await problem_response(to_problem(error), scope["path"])(scope, receive, send)
                return
            said = [each for each in self.raw_headers if each[0] not in (b"content-length", b"content-type")]
            own = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
            headers = [*own, *said]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            try:
                if first is not None:
                    await _send_event(send, *first)
                async for event in events:
                    if event is not None:
                        await _send_event(send, *event)
            except (ProblemError, AllaPrimaError) as error:
                body = json.loads(bytes(problem_response(to_problem(error), scope["path"]).body))
                await _send_event(send, "error", {"type": "error", **body})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_event(send: Send, name: str, data: Mapping[str, Any]) -> None:
    text = f"event: {name}\ndata: {json.dumps(data)}\n\n"
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
