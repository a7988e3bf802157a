"""Live painting, turn by turn, on a logical clock."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
import torch
from PIL import Image
from tests.studio.engine.watched import Bench, WatchedBase

from allaprima.core.errors import RequestError
from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.live_session import REST_S


def test_one_step_first_then_finer_while_the_prompt_rests() -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", steps=8)
    bench.run()
    assert client.steps == [(1, 1), (1, 2), (1, 4), (1, 8)]
    assert [frame.frame for frame in client.frames] == [1, 2, 3, 4]
    assert [frame.final for frame in client.frames] == [False, False, False, True]
    # The first prediction is the same at every number of steps and is made once: 1 + 1 + 3 + 7.
    assert sum(bench.base.passes) == 12
    assert bench.turn() is None


def test_a_frame_is_the_painters_picture() -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", steps=2, seed=5)
    bench.run()
    request = GenerationRequest(prompt="cat", steps=2, seed=5, guidance=1.0)
    expected = Painter(base=WatchedBase()).paint(request).encode("jpeg")
    assert client.frames[-1].jpeg == expected
    assert Image.open(io.BytesIO(expected)).size == (256, 256)


def test_noise_stays_while_words_change() -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", steps=1)
    bench.run()
    client.ask("dog", steps=1)
    bench.run()
    client.ask("cat", steps=1)
    bench.run()
    first, second, third = client.frames
    assert first.jpeg == third.jpeg != second.jpeg


def test_the_newest_prompt_wins() -> None:
    bench = Bench()
    client = bench.client()
    for text in ("c", "ca", "cat"):
        client.ask(text, steps=1)
    bench.run()
    assert client.steps == [(3, 1)]
    assert client.frames[0].dropped == 2
    assert bench.base.encoded == [["cat"]]


def test_nobody_waits_more_than_two_passes_however_many_type() -> None:
    bench = Bench(limits=Limits(pixels_per_pass=64 * 128 * 64))
    several = bench.clients(50)
    served = [0] * len(several)
    asked_at = [0] * len(several)
    for round_number in range(8):
        for number, client in enumerate(several):
            if client.session.waiting is None:
                asked_at[number] = round_number
            client.ask(
                f"{'abcdefg'[(round_number + number) % 7]} {round_number}", steps=1, width=128, height=64
            )
        bench.clock.now += 1.0
        before = [len(client.frames) for client in several]
        bench.turn()
        for number, client in enumerate(several):
            if len(client.frames) > before[number]:
                served[number] += 1
                assert round_number - asked_at[number] <= 1
    assert set(served) == {4}
    assert set(bench.base.passes) == {25}


def test_groups_that_cannot_share_take_turns() -> None:
    bench = Bench()
    small, large = bench.client(), bench.client()
    for number in range(4):
        small.ask(f"c{number}", steps=1)
        large.ask(f"d{number}", steps=1, width=128, height=64)
        bench.turn(2)
    assert len(small.frames) == len(large.frames) == 4


def test_one_sessions_prompt_that_cannot_be_painted_is_its_own_affair(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    good, bad, wrong = bench.clients(3)
    good.ask("cat", steps=1)
    bad.ask("unreadable", steps=1)
    wrong.ask("cat", steps=1, schedule="odd")
    bench.run()
    assert len(good.frames) == 1
    assert good.failures == []
    (failure,) = bad.failures
    assert "secret" not in failure.message
    assert failure.id in failure.message
    assert failure.id in caplog.text
    (told,) = wrong.failures
    assert told.message == "got the schedule 'odd'; expected even"
    bad.ask("dog", steps=1)
    bench.run()
    assert bad.steps == [(2, 1)]


def test_a_session_closed_in_the_middle_costs_nothing_more() -> None:
    bench = Bench()
    client, other = bench.clients(2)
    client.ask("cat", steps=8)
    other.ask("dog", steps=1)
    bench.turn(1 + 2 + 4 + 2)
    client.session.close()
    with bench.unchanged_work():
        bench.run()
    assert bench.worker._live is not None
    assert list(bench.worker._live.sessions) == [other.session.number]


def test_slow_pictures_wait_for_a_pause_in_the_typing() -> None:
    bench = Bench()

    def take_two_seconds() -> None:
        bench.clock.now += 2.0

    bench.base.before_predict = take_two_seconds
    client = bench.client()
    client.ask("cat", steps=1)
    assert bench.turn() == 0.0
    client.ask("dog", steps=1)
    assert bench.turn() == pytest.approx(0.25)
    bench.clock.now += 0.2
    client.ask("do", steps=1)
    assert bench.turn() == pytest.approx(0.25)
    bench.clock.now += 0.25
    bench.run()
    assert client.steps == [(1, 1), (3, 1)]


def test_nobody_who_types_waits_for_a_finer_picture() -> None:
    bench = Bench()
    client = bench.client()

    def take_time() -> None:
        bench.clock.now += 0.03

    bench.base.before_predict = take_time
    for word in ("cat", "dog", "hen"):
        client.ask(word, steps=2)
        bench.turn()
        delay = bench.turn()
        assert delay is not None
        assert delay == pytest.approx(REST_S - 0.03)
        bench.clock.now += 0.05  # the next key comes before that
    assert client.steps == [(1, 1), (2, 1), (3, 1)]
    bench.clock.now += REST_S
    bench.run()
    assert client.steps[3:] == [(3, 2)]


@pytest.mark.parametrize("steps", [1, 2])
def test_a_batch_that_cannot_begin_fails_the_prompt_and_no_other(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first frame or a finer one: the session is told, and goes on with the next prompt."""
    bench = Bench()
    bad, good = bench.clients(2)
    noise = bench.base.noise

    def refuse(seeds: Sequence[int], width: int, height: int) -> torch.Tensor:
        if 13 in seeds and (steps == 1 or len(bad.frames) == 1):
            raise RequestError("got the seed 13; expected another")
        return noise(seeds, width, height)

    monkeypatch.setattr(bench.base, "noise", refuse)
    bad.ask("cat", steps=steps, seed=13)
    good.ask("dog", steps=steps, seed=7)
    bench.run()
    assert [failure.message for failure in bad.failures] == ["got the seed 13; expected another"]
    assert len(bad.frames) == steps - 1
    assert good.frames[-1].final
    assert good.failures == []
    bad.ask("cat", steps=steps, seed=7)
    bench.run()
    assert bad.frames[-1].final
