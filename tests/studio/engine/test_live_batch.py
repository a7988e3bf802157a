from __future__ import annotations

import pytest
from tests.studio.engine.watched import Bench, WatchedBase

from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.engine.live_session import PATIENCE_S, SMOOTH_S


def test_a_decode_that_did_not_happen() -> None:
    """A new prompt during the only step: what was painted is dropped before it is decoded."""
    bench = Bench()
    client = bench.client()
    bench.base.during_predict = [lambda: client.ask("dog", steps=1)]
    client.ask("cat", steps=1)
    bench.turn()
    assert bench.base.passes == [1]
    assert bench.base.decodes == 0
    assert client.frames == []
    bench.run()
    assert client.steps == [(2, 1)]
    assert client.frames[0].dropped == 1
    assert bench.base.decodes == 1
    assert bench.stats.counters["decodes_spared"] == 1
    assert bench.stats.counters["prompts_overtaken"] == 1


def test_finer_steps_that_did_not_happen() -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", steps=8)
    bench.turn(1 + 2 + 4)
    assert client.steps == [(1, 1), (1, 2), (1, 4)]
    bench.turn(3)  # three of the eight steps
    predicted = len(bench.base.passes)
    client.ask("dog", steps=1)
    bench.run()
    assert len(bench.base.passes) == predicted + 1
    assert client.steps == [(1, 1), (1, 2), (1, 4), (2, 1)]
    assert bench.stats.counters["steps_spared"] == 5


def test_somebody_who_types_faster_than_the_device_paints_sees_frames_all_the_same() -> None:
    bench = Bench()
    client = bench.client()

    def type_on() -> None:
        bench.clock.now += PATIENCE_S * 0.6
        client.ask("cat"[: 1 + client.sequence % 3], steps=1)
        bench.base.during_predict.append(type_on)

    bench.base.during_predict.append(type_on)
    client.ask("cat", steps=1)
    bench.turn(20)
    assert 8 <= len(client.frames) <= 12
    sequences = [frame.sequence for frame in client.frames]
    assert sequences == sorted(set(sequences))


@pytest.mark.parametrize("frame_s", [SMOOTH_S / 2, SMOOTH_S * 2])
def test_a_slider_that_moves_is_followed_where_frames_are_quick(frame_s: float) -> None:
    """Each frame is overtaken while it is painted, as at sixty moves a second."""
    bench = Bench()
    client = bench.client()

    def move() -> None:
        bench.clock.now += frame_s
        if client.sequence < 20:
            client.ask("cat", steps=1, seed=client.sequence)
            bench.base.during_predict.append(move)

    bench.base.during_predict.append(lambda: setattr(bench.clock, "now", frame_s))
    client.ask("cat", steps=1, seed=100)
    bench.run()
    bench.base.during_predict.append(move)
    client.ask("cat", steps=1, seed=101)
    bench.run()
    sequences = [frame.sequence for frame in client.frames]
    if frame_s < SMOOTH_S:
        assert sequences == list(range(1, 21))
    else:
        assert 20 * frame_s / PATIENCE_S / 2 < len(sequences) < 20
    assert sequences[-1] == 20


def test_sessions_share_passes() -> None:
    bench = Bench()
    several = bench.clients(5)
    for number, client in enumerate(several):
        client.ask("abcde"[number], steps=2, seed=number)
    bench.run()
    assert bench.base.passes == [5, 5]
    assert bench.base.encoded == [["a", "b", "c", "d", "e"]]
    for number, client in enumerate(several):
        request = GenerationRequest(prompt="abcde"[number], steps=2, seed=number, guidance=1.0)
        assert client.frames[-1].jpeg == Painter(base=WatchedBase()).paint(request).encode("jpeg")


def test_an_error_during_a_shared_step_finds_its_session(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    first, second = bench.clients(2)
    rows: list[int] = []

    def fail_where_the_second_is() -> None:
        rows.append(len(rows))
        if len(rows) in (1, 3):  # together, and then the second alone
            raise MemoryError("no room")

    bench.base.before_predict = fail_where_the_second_is
    first.ask("a", steps=1)
    second.ask("b", steps=1)
    bench.run()
    assert len(first.frames) == 1
    assert [failure.sequence for failure in second.failures] == [1]
    assert "no room" in caplog.text


def test_numbers_that_overflow_fail_the_prompt_and_send_no_black_picture() -> None:
    bench = Bench(WatchedBase(broken_after=1))
    client = bench.client()
    client.ask("cat", steps=2)
    bench.run()
    assert client.steps == [(1, 1)]
    assert "finite" in client.failures[0].message
    assert bench.turn() is None
