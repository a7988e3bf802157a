"""Connections as bytes, below the application: how many, how long a head may take, how often a socket may ping.

uvicorn keeps a connection for ever whose request's head never ends, and as many as the system lets it. Here a head
has some seconds, and where there is no room the connection goes that has waited longest without asking anything.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from allaprima.core.system_limits import open_files
from allaprima.studio.server.jobs import Jobs
from allaprima.studio.server.limits import RateLimiter
from allaprima.studio.server.settings import Caps

RESERVED_FILES = 64
"""Descriptors that connections leave to the gallery, LoRAs and libraries."""
PROBE_S = 1.0
"""How often a client that closed its writing side is asked whether it still reads."""
_OVERDUE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"


def most_connections(caps: Caps) -> int:
    """Return how many connections may be open, as `caps` say and the system's limit on open files allows."""
    files = open_files()
    if files is None:
        return caps.connections
    return max(1, min(caps.connections, max(files - RESERVED_FILES, files // 2)))


class HttpConnection(H11Protocol):
    """uvicorn's HTTP connection, within bounds.

    Args:
        caps: the bounds.
        options: uvicorn's own.
    """

    def __init__(self, *, caps: Caps, **options: Any) -> None:
        super().__init__(**options)
        self._caps = caps
        self._most = most_connections(caps)
        self._overdue: asyncio.TimerHandle | None = None
        self._probe: asyncio.TimerHandle | None = None
        self._idle_since = self.loop.time()
        self._is_socket = False
        self._has_asked = False

    @property
    def is_idle(self) -> bool:
        """Whether no whole request has come, or all that came are answered."""
        return not self._has_asked or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, if there is or can be made room."""
        if len(self.connections) >= self._most and not self._make_room():
            super().connection_made(transport)
            transport.abort()
            return
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop what waits for this connection."""
        for timer in (self._overdue, self._probe):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        super().data_received(data)
        self._has_asked = bool(self.cycle)
        self._watch_head()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Hand the connection on."""
        self._is_socket = True
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Go on to what comes after an answer."""
        self._idle_since = self.loop.time()
        super().on_response_complete()
        self._watch_head()
        if self._probe is not None:  # nothing more can come
            self.transport.close()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Answer a client that closed its writing side behind its request, as `nc -N` does.

        It cannot be told from one that left, except by writing: to that one the second write fails.
        """
        secure = self.transport.get_extra_info("sslcontext") is not None
        if secure or self.is_idle or self.cycle.more_body or self.cycle.response_started:
            return None
        self._ask_whether_it_reads()
        return True

    def _ask_whether_it_reads(self) -> None:
        self._probe = self.loop.call_later(PROBE_S / 4, self._ask_whether_it_reads)
        if not self.cycle.response_started and not self.transport.is_closing():
            self.transport.write(_PROCESSING)

    def _watch_head(self) -> None:
        """Give a head that has begun, or must begin, its time."""
        begun = not self._has_asked or (self.is_idle and bool(self.conn.trailing_data[0]))
        awaited = begun and not self._is_socket
        if self._overdue is not None and not awaited:
            self._overdue.cancel()
            self._overdue = None
        elif self._overdue is None and awaited:
            self._overdue = self.loop.call_later(self._caps.head_s, self._close_overdue)

    def _close_overdue(self) -> None:
        if self.is_idle and not self.transport.is_closing():
            if self.conn.trailing_data[0]:
                self.transport.write(_OVERDUE)
            self.transport.close()

    def _make_room(self) -> bool:
        """End the connection that has been idle longest; return whether there was one."""
        idle = (one for one in self.connections if isinstance(one, HttpConnection) and one.is_idle)
        oldest = min(idle, key=lambda one: one._idle_since, default=None)
        if oldest is None:
            return False
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True


class SocketConnection(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket connection, with a bound on pings and on the pieces of one message.

    Args:
        caps: the bounds.
        options: uvicorn's own.
    """

    def __init__(self, *, caps: Caps, **options: Any) -> None:
        super().__init__(**options)
        self._pings = RateLimiter(rate=caps.pings_per_s, burst=10 * caps.pings_per_s, clock=self.loop.time)
        self._most_pieces = caps.message_pieces

    def handle_ping(self) -> None:
        """Answer a ping; end a connection that sends nothing else."""
        if self._pings.wait_s("") > 0:
            self._end("too many pings")
            return
        super().handle_ping()

    def handle_cont(self, event: Any) -> None:
        """Take another piece of a message."""
        if len(self.frames) >= self._most_pieces:
            self._end("a message in too many pieces")
            return
        super().handle_cont(event)

    def _end(self, why: str) -> None:
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.data_to_send()  # drops what was to be answered
        self.conn.send_close(1008, why)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1008, "reason": why})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()


class StudioServer(uvicorn.Server):
    """uvicorn's server, which stops if its base cannot be loaded, and tells whoever waits that it is stopped."""

    def __init__(self, config: uvicorn.Config, jobs: Jobs) -> None:
        super().__init__(config)
        self._jobs = jobs

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop."""
        return await super().on_tick(counter) or self._jobs.engine.load_error is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what waits, then close."""
        self._jobs.close()
        await super().shutdown(sockets)
