"""Clients of the live socket, as tests need them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.studio.server.conftest import Served
from websockets.sync.client import ClientConnection, connect

from allaprima.studio.server.live_messages import pack, unpack_frame

SIZE = {"width": 128, "height": 64}


def dial(served: Served, **headers: str) -> ClientConnection:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return connect(f"ws://127.0.0.1:{served.port}/live", additional_headers=named, proxy=None)


def say(socket: ClientConnection, sequence: object, prompt: object, **settings: Any) -> None:
    socket.send(json.dumps({"sequence": sequence, "prompt": prompt, "settings": {**SIZE, **settings}}))


def hear(socket: ClientConnection) -> dict[str, Any]:
    message = socket.recv(timeout=10)
    if isinstance(message, str):
        answer: dict[str, Any] = json.loads(message)
        return answer
    header, jpeg = unpack_frame(message)
    assert jpeg.startswith(b"\xff\xd8")
    return header


def hear_final(socket: ClientConnection) -> dict[str, Any]:
    while True:
        header = hear(socket)
        if header.get("final", True):
            return header


def send_all_and_listen(socket: ClientConnection, messages: Sequence[str | bytes]) -> None:
    for message in messages:
        socket.send(message)
    for _ in range(1000):
        socket.recv(timeout=5)


def put(socket: ClientConnection, sequence: int, data: bytes, part: str = "picture", **said: Any) -> None:
    """Send a file, or a region where `said` has one."""
    socket.send(pack({"sequence": sequence, part: said}, data))


def tell(socket: ClientConnection, **message: Any) -> None:
    socket.send(json.dumps(message))
