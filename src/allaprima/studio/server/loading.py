"""What comes while the first base is being loaded: whoever needs the base waits for it, all others are answered.

So a studio opens at once, its page and its gallery too, and no route ever sees a base that is not there. Meanwhile
/healthz says "loading".
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from allaprima.studio.engine.door import EngineDoor
from allaprima.studio.server.connections import from_thread

_ANSWERED = frozenset({
    "/", "/login", "/logout", "/favicon.ico", "/healthz", "/metrics", "/api/openapi.json", "/v1/models",
})  # fmt: skip
_ANSWERED_BELOW = ("/static/", "/pictures/", "/api/gallery", "/api/loras")
"""What no base is needed for; all others may ask for what is usual with it, which its files say."""


class WaitForBase:
    """ASGI middleware that keeps requests, and what live sockets say, until `engine` has loaded its first base."""

    def __init__(self, app: ASGIApp, *, engine: EngineDoor) -> None:
        self.app = app
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a connection on, now or later."""
        if self._engine.is_loading and scope["type"] == "websocket":
            receive = self._words_later(receive)
        elif self._engine.is_loading and _needs_base(scope["path"]):
            await self._wait()
        await self.app(scope, receive, send)

    def _words_later(self, receive: Receive) -> Receive:
        """Return a `receive` of a socket that is opened at once and heard once there is a base."""

        async def receive_later() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                await self._wait()
            return message

        return receive_later

    async def _wait(self) -> None:
        loaded = asyncio.Event()
        tell = from_thread(lambda _: loaded.set())
        self._engine.when_loaded(lambda: tell(None))
        await loaded.wait()


def _needs_base(path: str) -> bool:
    return path not in _ANSWERED and not path.startswith(_ANSWERED_BELOW)
