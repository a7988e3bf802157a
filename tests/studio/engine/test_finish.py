from __future__ import annotations

import pytest

from allaprima.core.request import Quality
from allaprima.studio.engine.finish import Finish
from allaprima.studio.engine.messages import LiveSettings


def finishes(settings: LiveSettings, *, has_coarse_decoder: bool) -> list[tuple[int, bool | None]]:
    found: list[tuple[int, bool | None]] = []
    finish: Finish | None = Finish.first(has_coarse_decoder=has_coarse_decoder)
    while finish is not None:
        found.append((finish.steps, finish.coarse))
        finish = finish.next(settings)
    return found


@pytest.mark.parametrize(
    ("steps", "expected"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (4, (1, 2, 4)), (8, (1, 2, 4, 8))]
)
def test_frames_come_finer_and_finer(steps: int, expected: tuple[int, ...]) -> None:
    assert finishes(LiveSettings(steps=steps), has_coarse_decoder=False) == [(one, None) for one in expected]
    following = Finish(steps=3).next(LiveSettings(steps=8))
    assert following is not None
    assert following.steps == 4


@pytest.mark.parametrize(
    ("quality", "steps", "expected"),
    [
        ("high", 4, [(1, True), (2, True), (4, False)]),
        ("high", 1, [(1, True), (1, False)]),
        ("medium", 2, [(1, True), (2, True)]),
    ],
)
def test_the_last_frame_of_high_quality_is_fine(
    quality: Quality, steps: int, expected: list[tuple[int, bool]]
) -> None:
    settings = LiveSettings(steps=steps, quality=quality)
    assert finishes(settings, has_coarse_decoder=True) == expected


def test_what_is_finer_than_asked_for() -> None:
    medium, high = LiveSettings(steps=2, quality="medium"), LiveSettings(steps=2)
    assert Finish(steps=4).is_beyond(high)
    assert Finish(steps=2, coarse=False).is_beyond(medium)
    for within in (Finish(steps=2, coarse=True), Finish(steps=2)):
        assert not within.is_beyond(medium)
        assert not within.is_beyond(high)


def test_a_coarse_frames_request_paints_it_again() -> None:
    settings = LiveSettings(steps=4, seed=7)
    assert Finish(steps=2, coarse=True).request(settings, "a cat").quality == "medium"
    for finish in (Finish(steps=2, coarse=False), Finish(steps=2)):
        assert finish.request(settings, "a cat").quality == "high"
