"""A studio warms up on prompts of every length, and is the same afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.engine.warmup import MOST_WORDS, warm_up


@pytest.fixture
def painter(tmp_path: Path) -> Painter:
    return Painter.load("vignette", folder=write_tiny_vignette(tmp_path / "weights"), device="cpu")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[GenerationRequest]:
    seen: list[GenerationRequest] = []
    paint = Painter.paint

    def watched(itself: Painter, request: GenerationRequest) -> Picture:
        seen.append(request)
        return paint(itself, request)

    monkeypatch.setattr(Painter, "paint", watched)
    return seen


def test_prompts_of_every_length_are_painted(painter: Painter, asked: list[GenerationRequest]) -> None:
    assert warm_up(painter, budget_s=60.0) == MOST_WORDS
    assert [len(request.prompt.split()) for request in asked] == list(range(1, MOST_WORDS + 1))
    assert {request.steps for request in asked} == {1}


def test_turbo_is_warmed_up_too_and_taken_off(tmp_path: Path, asked: list[GenerationRequest]) -> None:
    folder = write_tiny_vignette(tmp_path / "weights")
    (folder / "loras").mkdir()
    site = "transformer.transformer_blocks.0.attn.to_q"
    tensors = {f"{site}.lora_A.weight": torch.randn(4, 32), f"{site}.lora_B.weight": torch.randn(32, 4)}
    told = {"allaprima.family": "vignette", "allaprima.steps": "4"}
    save_file(tensors, folder / "loras" / "turbo.safetensors", told)
    painter = Painter.load("vignette", folder=folder, device="cpu")
    request = painter.request(prompt="a cat", seed=5, turbo=False, steps=2)
    before = painter.paint(request).rgb
    asked.clear()
    warm_up(painter, budget_s=60.0)
    worn = [bool(request.loras) for request in asked]
    assert worn == [False, True] * MOST_WORDS + [True] * 4
    assert painter.lora_manager is not None
    assert painter.lora_manager.state() == ()
    assert painter.paint(request).rgb == before


def test_it_stops_when_its_time_is_up(painter: Painter) -> None:
    assert warm_up(painter, budget_s=-1.0) == 1


def test_pictures_are_the_same_afterwards(painter: Painter) -> None:
    request = painter.request(prompt="a cat", steps=2, seed=5)
    before = painter.paint(request).rgb
    warm_up(painter, budget_s=60.0)
    assert painter.paint(request).rgb == before
