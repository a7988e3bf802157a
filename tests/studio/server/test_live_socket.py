"""The live socket from a real client: newest wins, order both ways, what breaks it and what must not."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.studio.server.conftest import PacedBase, Serve, Served
from tests.studio.server.live_clients import SIZE, dial, hear, hear_final, say, send_all_and_listen
from websockets.exceptions import ConnectionClosed, InvalidStatus

from allaprima.core.errors import RequestError
from allaprima.studio.engine.limits import Limits
from allaprima.studio.server.live_messages import parse_message, unpack_frame
from allaprima.studio.server.settings import Caps, ServerSettings

TOKEN = "correct-horse-battery"


def test_a_prompt_is_answered_by_finer_and_finer_frames(served: Served) -> None:
    with dial(served) as socket:
        say(socket, 1, "a cat", steps=4)
        frames = [hear(socket) for _ in range(3)]
    assert [frame["steps"] for frame in frames] == [1, 2, 4]
    assert [frame["final"] for frame in frames] == [False, False, True]
    assert {frame["sequence"] for frame in frames} == {1}
    assert (frames[0]["width"], frames[0]["height"]) == (128, 64)
    assert frames[0]["timings_ms"]["total"] > 0


def test_the_last_of_many_keystrokes_is_painted(serve: Serve) -> None:
    served = serve(base=PacedBase(pace_s=0.01))
    text = "a cat on a rooftop at sunset"
    with dial(served) as socket:
        for length in range(1, len(text) + 1):
            say(socket, length, text[:length], steps=1)
        while (frame := hear_final(socket))["sequence"] < len(text):
            pass
    assert frame["prompt"] == text


def test_mistakes_are_told_and_the_session_goes_on(served: Served) -> None:
    with dial(served) as socket:
        for message, says in (
            ("{", "no JSON"),
            ("[" * 50_000, "no JSON"),
            ('{"sequence": 1}', "sequence, prompt"),
            ('{"sequence": 1, "prompt": "a", "path": "/etc"}', "sequence, prompt"),
            ('{"sequence": 9223372036854775808, "prompt": "a"}', "sequence number"),
            ('{"sequence": true, "prompt": "a"}', "sequence number"),
            ('{"sequence": 1, "prompt": 7}', "no text"),
            ('{"sequence": 1, "prompt": "a", "settings": {"seed": 9223372036854775808}}', "seed"),
            ('{"sequence": 1, "prompt": "a", "settings": {"width": 100000, "height": 10000}}', "width"),
            ('{"sequence": 1, "prompt": "a", "settings": {"width": 4096, "height": 4096}}', "pixels"),
            ('{"sequence": 1, "prompt": "a", "settings": {"steps": 9}}', "live steps"),
            ('{"sequence": 1, "prompt": "a", "settings": {"base": "other"}}', "base"),
            ('{"sequence": 1, "prompt": "a", "settings": {"loras": [{"path": "/x"}]}}', "LoRA"),
            ('{"sequence": 1, "prompt": "a", "settings": {"loras": 7}}', "loras"),
        ):
            socket.send(message)
            failed = hear(socket)
            assert failed["type"] == "failed"
            assert says in failed["message"], failed
            assert failed["id"]
        say(socket, 2, "a cat", steps=1)
        assert hear(socket)["sequence"] == 2


def test_too_many_mistakes_or_messages_close_the_socket(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(messages_per_s=50)))
    mistakes = ["{"] * 40
    flood = [json.dumps({"sequence": number, "prompt": "a", "settings": SIZE}) for number in range(500)]
    for messages in (mistakes, flood):
        with dial(served) as socket, pytest.raises(ConnectionClosed) as caught:
            send_all_and_listen(socket, messages)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1008


def test_prompts_that_are_refused_do_not_close_the_socket(served: Served) -> None:
    with dial(served) as socket:
        for number in range(1, 31):
            say(socket, number, "a cat <lora:ink:0.8>", steps=1)
            assert hear(socket)["type"] == "failed"
        say(socket, 31, "a cat", steps=1)
        assert hear(socket)["sequence"] == 31


def test_messages_have_a_largest_size(served: Served) -> None:
    with dial(served) as socket, pytest.raises(ConnectionClosed):
        send_all_and_listen(socket, ["x" * 70_000])


def test_sockets_of_foreign_pages_are_refused(served: Served) -> None:
    foreign = [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"origin": "http://127.0.0.1:1"},
    ]
    for headers in foreign:
        with pytest.raises(InvalidStatus) as caught:
            dial(served, **headers).close()
        assert caught.value.response.status_code == 403
    assert served.studio.refused["origin"] == len(foreign)


def test_the_pages_own_socket_passes(served: Served) -> None:
    with dial(served, origin=served.url, sec_fetch_site="same-origin") as socket:
        say(socket, 1, "a cat", steps=1)
        assert hear(socket)["final"]


def test_a_rebound_name_gets_no_socket(served: Served) -> None:
    with served.client(host="evil.example", connection="Upgrade", upgrade="websocket") as client:
        headers = {"sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
        assert client.get("/live", headers=headers).status_code == 403


def test_the_token_is_asked_for(serve: Serve) -> None:
    served = serve(ServerSettings(token=TOKEN))
    with pytest.raises(InvalidStatus):
        dial(served).close()
    with dial(served, authorization=f"Bearer {TOKEN}") as socket:
        say(socket, 1, "a cat", steps=1)
        assert hear(socket)["final"]


def test_sessions_have_a_cap_and_places_are_given_back(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(sessions_per_client=2)))
    with dial(served), dial(served), dial(served) as third, pytest.raises(ConnectionClosed) as caught:
        third.recv(timeout=5)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1013
    served.wait_for(lambda: served.studio.engine.stats().sessions == 0)
    with dial(served) as again:
        say(again, 1, "a cat", steps=1)
        assert hear(again)["final"]


def test_a_full_engine_says_so(serve: Serve) -> None:
    served = serve(limits=Limits(sessions=1))
    with dial(served) as first:
        say(first, 1, "a", steps=1)
        hear(first)
        with dial(served) as second, pytest.raises(ConnectionClosed) as caught:
            second.recv(timeout=5)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1013


def test_a_reader_that_sleeps_gets_the_last_frame(served: Served) -> None:
    with dial(served) as socket:
        for sequence in range(1, 60):
            say(socket, sequence, f"{'abcdefg'[sequence % 7]} cat", steps=1)
            time.sleep(0.001)
        time.sleep(0.3)
        frames: list[dict[str, Any]] = []
        while not frames or frames[-1]["sequence"] < 59:
            frames.append(hear(socket))
    sequences = [frame["sequence"] for frame in frames]
    assert sequences == sorted(sequences)


@given(st.text(max_size=200))
def test_any_text_is_a_prompt_or_a_refusal(text: str) -> None:
    with contextlib.suppress(RequestError):
        parse_message(text, Caps(), dict)
        assert json.loads(text)["prompt"] is not None


@pytest.mark.parametrize("message", [b"", b"\0\0", b"\0\0\0\x09{}", b"\0\0\0\x02[]"])
def test_a_cut_message_is_no_frame(message: bytes) -> None:
    with pytest.raises(ValueError, match="got a"):
        unpack_frame(message)
