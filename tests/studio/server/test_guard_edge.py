"""The last line: whatever goes wrong behind the guard, a client learns an id and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from allaprima.studio.server.guard import Guard
from allaprima.studio.server.settings import ServerSettings

SECRET = "a secret of the machine"
HEADERS = [(b"host", b"127.0.0.1")]


async def broken(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive, send
    raise RuntimeError(SECRET)


async def broken_midway(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError(SECRET)


async def broken_after_closing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.close", "code": 1000})
    await broken(scope, receive, send)


def run(app: Callable[..., Any], scope: dict[str, Any], *, closed: bool = False) -> list[dict[str, Any]]:
    """Return what the guard sends of one connection to `app`; a closed one takes nothing after its close."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if closed and sent:
            raise RuntimeError("the connection is closed")
        sent.append(message)

    guard = Guard(app, settings=ServerSettings(), refused=Counter())
    whole = {
        "path": "/api/config",
        "headers": HEADERS,
        "client": ("127.0.0.1", 1),
        "query_string": b"",
        **scope,
    }
    asyncio.run(guard(whole, receive, send))  # type: ignore[arg-type]  # plain dictionaries are ASGI's messages
    return sent


def test_an_unknown_error_is_an_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        start, body = run(broken, {"type": "http", "method": "GET"})
    assert start["status"] == 500
    assert SECRET.encode() not in body["body"]
    assert SECRET in caplog.text
    number = next(record.message.split(":")[0] for record in caplog.records if SECRET in str(record.exc_info))
    assert number.encode() in body["body"]


def test_an_answer_that_has_begun_is_not_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    (start,) = run(broken_midway, {"type": "http", "method": "GET"})
    assert start["status"] == 200
    assert SECRET in caplog.text


@pytest.mark.parametrize("app", [broken, broken_after_closing])
def test_a_socket_that_breaks_is_closed(app: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        sent = run(app, {"type": "websocket"}, closed=app is broken_after_closing)
    assert len(sent) == 1
    assert sent[0]["type"] == "websocket.close"
    assert SECRET not in str(sent)
    assert SECRET in caplog.text
    assert ("closed already" in caplog.text) == (app is broken_after_closing)
