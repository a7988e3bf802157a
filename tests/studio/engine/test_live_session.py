from __future__ import annotations

import threading

import pytest

from allaprima.core.errors import RequestError
from allaprima.studio.engine.live_session import (
    REST_S,
    Debounce,
    LiveSession,
    PendingPrompt,
    prompt_key,
)
from allaprima.studio.engine.messages import LivePrompt, LiveSettings


def prompt(sequence: int, text: str = "a cat", **settings: object) -> LivePrompt:
    return LivePrompt(sequence=sequence, prompt=text, settings=LiveSettings(**settings))  # type: ignore[arg-type]


def test_likeness_leaves_out_what_cannot_be_seen() -> None:
    plain = prompt_key(prompt(1))
    assert prompt_key(prompt(2, quality="medium", steps=8)) == plain
    rain, hail = (prompt_key(prompt(2, negative_prompt=words)) for words in ("rain", "hail"))
    assert rain == hail != plain  # guidance is 1, but that there is a negative prompt is remarked on
    assert prompt_key(prompt(2, negative_prompt="rain", guidance=2.0)) != prompt_key(prompt(2, guidance=2.0))
    for other in ({"seed": 1}, {"width": 128}, {"schedule": "even"}, {"guidance": 2.0}, {"base": "sdxl"}):
        assert prompt_key(prompt(2, **other)) != plain


def open_session(now: list[float]) -> tuple[LiveSession, list[int]]:
    rings: list[int] = []

    def check_base(base: str) -> None:
        if base != "vignette":
            raise RequestError("got another base")

    session = LiveSession(
        1, lambda _: None, check_base, threading.Condition(), lambda: now[0], lambda: rings.append(1)
    )
    return session, rings


def test_the_newest_prompt_takes_the_place_of_what_waits() -> None:
    now = [1.0]
    session, rings = open_session(now)
    session.ask(prompt(1))
    now[0] = 2.0
    session.ask(prompt(5))
    assert session.waiting == PendingPrompt(prompt=prompt(5), at=2.0, since=1.0, superseded=1)
    session.ask(prompt(5, "late"))
    session.ask(prompt(4, "later still"))
    assert session.waiting.prompt == prompt(5)
    assert len(rings) == 2


def test_a_prompt_is_taken_once_and_only_while_it_is_the_newest() -> None:
    session, _ = open_session([0.0])
    session.ask(prompt(1))
    first = session.waiting
    assert first is not None
    session.ask(prompt(2))
    assert not session.take(first)
    second = session.waiting
    assert second is not None
    assert session.take(second)
    assert not session.take(second)
    assert session.waiting is None


def test_a_closed_session_takes_nothing() -> None:
    session, _ = open_session([0.0])
    session.ask(prompt(1))
    session.close()
    session.close()
    assert session.waiting is None
    session.ask(prompt(2))
    assert session.waiting is None
    assert session.closed


def test_a_base_that_is_not_there_is_told_at_once() -> None:
    session, _ = open_session([0.0])
    with pytest.raises(RequestError, match="another base"):
        session.ask(prompt(1, base="sdxl"))


def test_only_slow_pictures_wait_for_a_pause() -> None:
    grace = Debounce()
    asked = PendingPrompt(prompt=prompt(1), at=10.0, since=9.0, superseded=3)
    assert grace.due(asked) == 10.0
    grace.note(1.5)
    assert grace.due(asked) == 10.0
    grace.note(1.7)
    assert grace.due(asked) == 10.25
    assert grace.due(PendingPrompt(prompt=prompt(1), at=12.9, since=10.0, superseded=9)) == 13.0
    for _ in range(10):
        grace.note(0.1)
    assert grace.due(asked) == 10.0


def test_pictures_rest_before_they_are_made_finer_unless_they_are_quick() -> None:
    grace = Debounce()
    assert grace.rested(10.0) == 10.0
    grace.note(0.005)
    assert grace.rested(10.0) == 10.0
    grace.note(0.05)
    assert grace.rested(10.0) == 10.0 + REST_S
