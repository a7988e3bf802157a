"""TLS below a connection: handshakes that do not end are bounded like heads, in time and in number.

asyncio gives a handshake a minute and takes as many as come; the connection above, which has bounds, hears of it
when it is done. So the layer is put in here, and not by the event loop.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from allaprima.studio.server.settings import Caps
from allaprima.studio.server.transport import HttpConnection, most_connections

SHARE = 8
"""One connection in so many may be a handshake under way."""


@dataclass
class Handshakes:
    """The handshakes under way, the oldest first; for the event loop."""

    most: int
    """Where there are more, the oldest is ended."""
    _waiting: dict[asyncio.Transport, None] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, transport: asyncio.Transport) -> None:
        """Note that one has begun on `transport`."""
        while len(self._waiting) >= self.most:
            oldest = next(iter(self._waiting))
            self.end(oldest)
            oldest.abort()
        self._waiting[transport] = None

    def end(self, transport: asyncio.Transport) -> None:
        """Note that the one on `transport` has ended, well or not."""
        self._waiting.pop(transport, None)


class TlsConnection(SSLProtocol):
    """asyncio's TLS around a connection; the handshake has `handshake_s` seconds and counts among `handshakes`."""

    def __init__(
        self,
        app_protocol: asyncio.Protocol,
        context: ssl.SSLContext,
        *,
        handshakes: Handshakes,
        handshake_s: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._done: asyncio.Future[Any] = loop.create_future()
        self._handshakes = handshakes
        super().__init__(
            loop, app_protocol, context, self._done, server_side=True,
            ssl_handshake_timeout=handshake_s,  # type: ignore[arg-type]  # any number will do
            ssl_shutdown_timeout=handshake_s,
        )  # fmt: skip

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the handshake."""
        self._handshakes.begin(transport)

        def end(done: asyncio.Future[Any]) -> None:
            self._handshakes.end(transport)
            if not done.cancelled():
                done.exception()  # looked at, or asyncio complains: strangers fail as often as they like

        self._done.add_done_callback(end)
        super().connection_made(transport)


def secure_connections(context: ssl.SSLContext, caps: Caps) -> Callable[..., TlsConnection]:
    """Return what makes the connections of a server that speaks https, with uvicorn's options for each."""
    most = most_connections(caps)
    handshakes = Handshakes(most=max(1, most // SHARE))
    within = replace(caps, connections=max(1, most - handshakes.most))

    def connect(**options: Any) -> TlsConnection:
        connection = HttpConnection(caps=within, **options)
        return TlsConnection(connection, context, handshakes=handshakes, handshake_s=caps.head_s)

    return connect
