"""Live painting, turn by turn, on a logical clock."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from tests.studio.engine.watched import Bench, Client, WatchedBase

from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.live_session import PATIENCE_S, REST_S, SMOOTH_S
from allaprima.studio.engine.messages import LiveUpdate


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


@pytest.mark.parametrize(
    "change",
    [{"quality": "medium"}, {"negative_prompt": "rain"}, {"steps": 8}, {}],
    ids=["quality", "negative prompt at guidance 1", "more steps", "nothing"],
)
def test_a_change_that_cannot_be_seen_costs_nothing(change: dict[str, object]) -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", steps=4)
    bench.run()
    shown = client.frames[-1]
    medium = GenerationRequest(prompt="cat", steps=4, guidance=1.0, quality="medium")
    with bench.unchanged_work():
        client.ask("cat", **{"steps": 4, **change})
        bench.turn()
        answer = client.frames[-1]
        assert (answer.sequence, answer.steps, answer.repeated) == (2, 4, True)
        assert answer.final == (change != {"steps": 8})
    if change == {"quality": "medium"}:
        assert answer.jpeg == Painter(base=WatchedBase()).paint(medium).encode("jpeg")
    if not change:
        assert answer.jpeg == shown.jpeg
    bench.run()
    assert client.frames[-1].final


def test_guidance_matters_only_where_it_leads_away_from_something() -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", steps=1, negative_prompt="Cat ", guidance=2.0)
    bench.run()
    passes = list(bench.base.passes)
    assert passes == [1]  # prompt and negative prompt are one to the model
    client.ask("cat", steps=1, negative_prompt="Cat ", guidance=7.0)
    bench.run()
    assert client.frames[-1].repeated
    assert bench.base.passes == passes
    client.ask("cat", steps=1, negative_prompt="dog", guidance=2.0)
    bench.run()
    assert bench.base.passes == [1, 2]


def test_a_prompt_of_the_same_embedding_is_answered_from_the_last_frame() -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", steps=2)
    bench.run()
    passes, decodes = list(bench.base.passes), bench.base.decodes
    client.ask("CAT ", steps=2)
    bench.run()
    assert (bench.base.passes, bench.base.decodes) == (passes, decodes)
    answer = client.frames[-1]
    assert (answer.sequence, answer.prompt, answer.repeated, answer.final) == (2, "CAT ", True, True)


def test_prompts_are_encoded_once() -> None:
    bench = Bench()
    client = bench.client()
    for text in ("cat", "dog", "cat", "dog"):
        client.ask(text, steps=1)
        bench.run()
    assert bench.base.encoded == [["cat"], ["dog"]]
    assert bench.stats.counters["texts_known"] == 2


def test_fewer_steps_than_are_shown_are_painted_anew() -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", steps=4)
    bench.run()
    client.ask("cat", steps=1)
    bench.run()
    assert client.steps[-1] == (2, 1)
    assert client.frames[-1].final
    assert sum(bench.base.passes) == 5  # the first prediction was known


def test_a_blank_prompt_stops_and_is_answered_by_nothing() -> None:
    bench = Bench()
    client = bench.client()
    client.ask("cat", steps=8)
    bench.turn()
    client.ask(" ")
    bench.run()
    assert client.steps == [(1, 1)]


def clients(bench: Bench, count: int) -> list[Client]:
    return [bench.client() for _ in range(count)]


def test_sessions_share_passes() -> None:
    bench = Bench()
    several = clients(bench, 5)
    for number, client in enumerate(several):
        client.ask("abcde"[number], steps=2, seed=number)
    bench.run()
    assert bench.base.passes == [5, 5]
    assert bench.base.encoded == [["a", "b", "c", "d", "e"]]
    for number, client in enumerate(several):
        request = GenerationRequest(prompt="abcde"[number], steps=2, seed=number, guidance=1.0)
        assert client.frames[-1].jpeg == Painter(base=WatchedBase()).paint(request).encode("jpeg")


def test_nobody_waits_more_than_two_passes_however_many_type() -> None:
    bench = Bench(limits=Limits(pixels_per_pass=64 * 128 * 64))
    several = clients(bench, 50)
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
    good, bad, wrong = clients(bench, 3)
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


def test_an_error_during_a_shared_step_finds_its_session(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    first, second = clients(bench, 2)
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


def test_a_callback_that_raises_ends_its_own_session(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    def refuse(_: LiveUpdate) -> None:
        raise ConnectionError("the client is gone")

    bad, good = bench.client(refuse), bench.client()
    bad.ask("cat", steps=4)
    good.ask("dog", steps=4)
    bench.run()
    assert bad.session.closed
    assert good.frames[-1].final
    assert "is gone" in caplog.text
    assert bench.stats.sessions == 1


def test_a_session_closed_in_the_middle_costs_nothing_more() -> None:
    bench = Bench()
    client, other = clients(bench, 2)
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


def test_memory_is_bounded() -> None:
    painter = Painter(base=WatchedBase(), prompt_cache_bytes=1000)
    bench = Bench(limits=Limits(sessions=8), painter=painter)
    client = bench.client()
    for number in range(60):
        client.ask(f"cat {number:03}", steps=2, width=128, height=64)
        bench.turn(2)
    for _ in range(50):
        bench.client().session.close()
        bench.turn()
    assert bench.worker._live is not None
    assert len(bench.worker._live.sessions) == 1
    assert len(bench.worker._sessions) <= 8
    runner = bench.worker._runner
    assert runner is not None
    assert runner.painter("vignette").prompts.num_bytes <= 1000


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
