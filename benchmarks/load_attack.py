"""Strangers who hold back and make noise: heads and bodies that never end, and pings.

`python -m benchmarks.load_attack http://127.0.0.1:7860 400 60 100000` attacks with so many of each.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
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
    """Strangers in a process of their own, for a with-block: here they would slow down whoever measures."""

    def __init__(self, url: str, *, heads: int, uploads: int, pings: int) -> None:
        amounts = map(str, (heads, uploads, pings))
        self._command = [sys.executable, "-m", "benchmarks.load_attack", url, *amounts]

    def __enter__(self) -> Attack:
        self._process = subprocess.Popen(self._command)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def is_done(self) -> bool:
        """Whether everything was sent and held for a while; RuntimeError if it failed."""
        status = self._process.poll()
        if status:
            raise RuntimeError(f"the strangers ended with {status}; expected 0")
        return status == 0


class Strangers:
    """All the connections of an attack on one address."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").rpartition(":")
        self._address = (host, int(port))
        self._held = ExitStack()

    def attack(self, heads: int, uploads: int, pings: int) -> None:
        """Do all of it, hold it for a while, and leave."""
        with self._held:
            for _ in range(heads):
                self._send(HALF_A_HEAD)
            body = b'{"image":"' + b"A" * BODY_BYTES
            for _ in range(uploads):
                self._send(HALF_A_BODY, body)
            for _ in range(10):
                self._send(UPGRADE, PING * (pings // 10))
            time.sleep(_HOLD_S)

    def _send(self, *parts: bytes) -> None:
        """Send what the server takes; it may close at any time."""
        with suppress(OSError):
            raw = self._held.enter_context(socket.create_connection(self._address, 10))
            for part in parts:
                raw.sendall(part)
                if part is UPGRADE:
                    raw.recv(4096)


if __name__ == "__main__":
    Strangers(sys.argv[1]).attack(*map(int, sys.argv[2:]))
