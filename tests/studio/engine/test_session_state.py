from __future__ import annotations

from typing import Any

import pytest
from tests.studio.engine.watched import Bench, WatchedBase

from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.engine.messages import LiveUpdate


@pytest.mark.parametrize(
    "change",
    [{"quality": "medium"}, {"negative_prompt": "rain"}, {"steps": 8}, {}],
    ids=["quality", "negative prompt at guidance 1", "more steps", "nothing"],
)
def test_a_change_that_cannot_be_seen_costs_nothing(change: dict[str, Any]) -> None:
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


def test_frames_say_what_their_prompt_asks_for_in_vain() -> None:
    bench = Bench()
    client = bench.client()
    said = "the negative prompt does nothing, for there is no guidance"
    client.ask("cat", steps=2)
    client.ask("cat", steps=2, negative_prompt="rain")
    bench.run()
    client.ask("cat", steps=2)
    bench.run()
    client.ask("cat", steps=2, negative_prompt="rain")
    bench.run()
    assert [frame.remarks for frame in client.frames if frame.final] == [(said,), (), (said,)]
    assert [frame.repeated for frame in client.frames if frame.final] == [False, True, True]
