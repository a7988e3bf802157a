"""A studio warms up on prompts of every length, and is the same afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.engine.warmup import MOST_WORDS, warm_up


@pytest.fixture
def painter(tmp_path: Path) -> Painter:
    return Painter.load("vignette", folder=write_tiny_vignette(tmp_path / "weights"), device="cpu")


def test_prompts_of_every_length_are_painted(painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[GenerationRequest] = []
    paint = Painter.paint

    def watched(itself: Painter, request: GenerationRequest) -> Picture:
        asked.append(request)
        return paint(itself, request)

    monkeypatch.setattr(Painter, "paint", watched)
    assert warm_up(painter, budget_s=60.0) == MOST_WORDS
    assert [len(request.prompt.split()) for request in asked] == list(range(1, MOST_WORDS + 1))
    assert {request.steps for request in asked} == {1}


def test_it_stops_when_its_time_is_up(painter: Painter) -> None:
    assert warm_up(painter, budget_s=-1.0) == 1


def test_pictures_are_the_same_afterwards(painter: Painter) -> None:
    request = painter.request(prompt="a cat", steps=2, seed=5)
    before = painter.paint(request).rgb
    warm_up(painter, budget_s=60.0)
    assert painter.paint(request).rgb == before
