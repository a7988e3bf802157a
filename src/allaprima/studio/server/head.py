"""Methods that every route has: HEAD, as GET without the body, and OPTIONS, which says what there is.

Probes of health ask so, clients that look before they fetch, and programs that try what a server can do.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NOT_ALLOWED = 405


class CommonMethods:
    """ASGI middleware that lets `app` answer HEAD as it answers GET, and OPTIONS with what it allows."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a connection on."""
        method = scope.get("method") if scope["type"] == "http" else None
        if method == "HEAD":
            await self.app({**scope, "method": "GET"}, receive, _without_body(send))
        elif method == "OPTIONS":
            await self.app(scope, receive, _allowed(send))
        else:
            await self.app(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head


def _allowed(send: Send) -> Send:
    """Return a `send` that turns the refusal of a method into a list of those that are allowed."""
    refused = False

    async def send_allowed(message: Message) -> None:
        nonlocal refused
        if message["type"] == "http.response.start" and message["status"] == _NOT_ALLOWED:
            refused = True
            allow = b", ".join(
                [value for name, value in message["headers"] if name == b"allow"] + [b"OPTIONS"]
            )
            message = {**message, "status": 204, "headers": [(b"allow", allow)]}
        elif refused:
            message = {**message, "body": b""}
        await send(message)

    return send_allowed
