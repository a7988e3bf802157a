from __future__ import annotations

import queue
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from tests.studio.cluster.replicas import wait_for

from allaprima.core.errors import PaintError, UserError
from allaprima.studio.cluster import meeting_point
from allaprima.studio.cluster.link import Link
from allaprima.studio.cluster.meeting_point import (
    KEY_VARIABLE,
    MeetingPoint,
    cluster_key,
    dial,
    parse_address,
)
from allaprima.studio.cluster.wire import Leaving

KEY = b"a key of many signs"


@pytest.fixture
def guests() -> queue.SimpleQueue[tuple[Link, str]]:
    return queue.SimpleQueue()


@pytest.fixture
def point(guests: queue.SimpleQueue[tuple[Link, str]]) -> Iterator[MeetingPoint]:
    point = MeetingPoint("127.0.0.1", 0, KEY, lambda link, name: guests.put((link, name)))
    yield point
    point.close()


def test_who_knows_the_key_is_let_in(
    point: MeetingPoint, guests: queue.SimpleQueue[tuple[Link, str]]
) -> None:
    there = dial("127.0.0.1", point.port, KEY)
    here, name = guests.get(timeout=30)
    assert name == "replica of 127.0.0.1"
    there.put(Leaving())
    there.close()
    assert list(here.records()) == [Leaving()]
    assert list(there.records()) == []


def test_who_does_not_is_sent_away_and_told(
    point: MeetingPoint, guests: queue.SimpleQueue[tuple[Link, str]], caplog: Any
) -> None:
    with pytest.raises(PaintError, match="another ALLAPRIMA_CLUSTER_KEY"):
        dial("127.0.0.1", point.port, b"another key")
    wait_for(lambda: "was not let in" in caplog.text)
    assert guests.empty()


def test_strangers_who_say_nothing_or_nonsense_keep_nobody_out(
    point: MeetingPoint, guests: queue.SimpleQueue[tuple[Link, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting_point, "HANDSHAKE_S", 0.2)
    strangers = [socket.create_connection(("127.0.0.1", point.port)) for _ in range(3)]
    strangers[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
    strangers[1].sendall(b"\xff" * 64)
    for stranger in strangers:
        stranger.settimeout(30)
        with stranger, suppress(ConnectionResetError):
            while stranger.recv(1024):  # to the end, for each is hung up on
                pass
    dial("127.0.0.1", point.port, KEY).close()
    guests.get(timeout=30)[0].close()


def test_a_port_that_is_taken_is_told(point: MeetingPoint) -> None:
    with pytest.raises(UserError, match="expected a free port"):
        MeetingPoint("127.0.0.1", point.port, KEY, lambda *_: None)


def test_nobody_there_is_an_error_of_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(OSError, match="efused"):
        dial("127.0.0.1", port, KEY)


@pytest.mark.parametrize(
    ("text", "address"),
    [("10.0.0.1:7870", ("10.0.0.1", 7870)), ("[::1]:80", ("::1", 80)), ("studio.lan:1", ("studio.lan", 1))],
)
def test_addresses_are_read(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", ":80", "host:0", "host:70000", "host:x", "host:٣"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="expected host and port"):
        parse_address(text)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef")
    assert cluster_key() == b"0123456789abcdef"
    for wrong, said in (("", "got no"), ("short", "got a short")):
        monkeypatch.setenv(KEY_VARIABLE, wrong)
        with pytest.raises(UserError, match=said):
            cluster_key()
