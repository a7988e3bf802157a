"""Connections that hold back, that are many, that close half, that ping."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextlib import ExitStack
from unittest.mock import ANY

import pytest
from tests.studio.server.conftest import PacedBase, Serve, Served
from websockets.sync.client import connect

from allaprima.cli.serve import bind
from allaprima.studio.server.settings import Caps, ServerSettings
from allaprima.studio.server.transport import most_connections

HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-a: "
REST = b"1\r\nConnection: close\r\n\r\n"


def opened(served: Served, data: bytes = b"") -> socket.socket:
    """Return a connection that has sent `data`."""
    raw = socket.create_connection(("127.0.0.1", served.port), timeout=5)
    raw.sendall(data)
    return raw


def read_all(raw: socket.socket) -> bytes:
    """Return what comes until the other side closes."""
    try:
        return b"".join(iter(lambda: raw.recv(4096), b""))
    except ConnectionResetError:
        return b""


def test_small_answers_are_sent_at_once() -> None:
    async def is_immediate() -> bool:
        accepted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found = writer.get_extra_info("socket")
            accepted.set_result(bool(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
            writer.close()

        with bind(ServerSettings(port=0)) as listening:
            server = await asyncio.start_server(look, sock=listening)
            with socket.create_connection(listening.getsockname(), timeout=5):
                immediate = await accepted
            server.close()
        return immediate

    assert asyncio.run(is_immediate())


def test_a_head_that_does_not_come_ends_its_connection(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(head_s=0.3)))
    with opened(served) as silent, opened(served, HALF_A_HEAD) as begun:
        assert read_all(silent) == b""
        assert read_all(begun).startswith(b"HTTP/1.1 408 ")
    whole = HALF_A_HEAD + b"1\r\n\r\n"
    with opened(served, whole) as raw:
        time.sleep(0.5)  # a kept connection may rest
        raw.sendall(whole)
        time.sleep(0.1)
        raw.sendall(HALF_A_HEAD)
        said = read_all(raw)
    assert (said.count(b"200 OK"), said.count(b"408 ")) == (2, 1)


def test_slow_heads_that_end_in_time_are_answered(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(head_s=5.0)))
    with opened(served) as raw:
        for byte in HALF_A_HEAD:
            raw.sendall(bytes([byte]))
            time.sleep(0.002)
        raw.sendall(REST)
        assert b"200 OK" in read_all(raw)


def test_what_asks_nothing_gives_way(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(connections=10)))
    with ExitStack() as stack, served.client() as client:
        held = [stack.enter_context(opened(served, HALF_A_HEAD)) for _ in range(50)]
        for _ in range(20):
            assert client.get("/healthz", headers={"connection": "close"}).status_code == 200
        assert read_all(held[0]) == b""


def test_connections_that_are_busy_stay(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(connections=4)), base=PacedBase(pace_s=0.2))
    asks = b'{"prompt": "a cat", "steps": 3}'
    head = b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    whole = head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(asks) + asks
    with ExitStack() as stack:
        busy = [stack.enter_context(opened(served, whole)) for _ in range(4)]
        served.wait_for(lambda: len(served.studio.jobs.tickets) == 4)
        with opened(served, HALF_A_HEAD + REST) as late:
            assert read_all(late) == b""  # no room at all
        assert all(b"200 OK" in read_all(raw) for raw in busy)


def test_the_systems_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, expected in ((128, 64), (1024, 960), (100_000, 1024), (70, 35), (1, 1)):
        monkeypatch.setattr("resource.getrlimit", lambda _, files=files: (files, files))
        assert most_connections(Caps()) == expected


def test_a_client_that_closes_its_writing_side_is_answered(serve: Serve) -> None:
    served = serve(base=PacedBase(pace_s=0.1))
    asks = b'{"prompt": "a cat", "steps": 4}'
    head = b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with opened(served, head + b"Content-Length: %d\r\n\r\n" % len(asks) + asks) as raw:
        raw.shutdown(socket.SHUT_WR)
        said = read_all(raw)
    assert b"HTTP/1.1 200 OK" in said
    assert b"b64_json" in said
    assert len(served.studio.gallery) == 1


def test_a_client_that_pings_without_end_is_let_go(serve: Serve) -> None:
    served = serve()
    with connect(f"ws://127.0.0.1:{served.port}/live", proxy=None, ping_interval=None) as live:
        for _ in range(20):
            live.ping().wait(5)  # as a program might that looks after its connection
    with opened(served, _UPGRADE) as raw:
        assert b"101" in raw.recv(4096)
        raw.sendall(struct.pack("!BB4s", 0x89, 0x80, b"mask") * 5000)
        said = read_all(raw)
    assert said.endswith(b"too many pings")
    with served.client() as client:
        assert client.get("/healthz").json() == {"status": ANY}


def test_a_message_in_endless_pieces_is_let_go(serve: Serve) -> None:
    served = serve()
    with opened(served, _UPGRADE) as raw:
        assert b"101" in raw.recv(4096)
        raw.sendall(struct.pack("!BB4s", 0x01, 0x80, b"mask"))
        raw.sendall(struct.pack("!BB4s", 0x00, 0x80, b"mask") * 3000)
        said = read_all(raw)
    assert b"too many pieces" in said or said == b""


_UPGRADE = (
    b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
