"""Batches: every picture as often as another, captions dropped as often as asked, windows inside the picture."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from tests.lab.lora.tiny import CPU, base_of, captioned

from allaprima.lab.lora.dataset import TrainingSet, training_set
from allaprima.lab.training.loop import Draw

SIZE = (64, 96)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    folder = tmp_path_factory.mktemp("set")
    return training_set(
        base_of("qwen-image", folder), captioned(folder / "pictures"), SIZE, windows=2, flip=True, seed=1
    )


def draw(step: int, batch: int = 2, rank: int = 0, processes: int = 1) -> Draw:
    generator = torch.Generator().manual_seed(step)
    return Draw(step=step, batch_size=batch, device=CPU, generator=generator, rank=rank, processes=processes)


def test_every_view_is_encoded_once_and_all_differ(learned: TrainingSet) -> None:
    assert learned.latents.shape == (3, 6, 16, 6, 4)
    assert not learned.latents.is_inference()
    flat = learned.latents.flatten(2)
    assert all(not torch.equal(flat[0, a], flat[0, b]) for a in range(6) for b in range(a))


def test_mirrored_views_follow_the_others(learned: TrainingSet, tmp_path: Path) -> None:
    plain = training_set(
        base_of("qwen-image", tmp_path), captioned(tmp_path / "pictures"), SIZE, windows=2, flip=False, seed=1
    )
    assert torch.equal(learned.latents[:, :3], plain.latents)


def test_every_picture_comes_once_before_one_comes_again(learned: TrainingSet) -> None:
    known = {learned.latents[row, view].sum().item(): row for row in range(3) for view in range(6)}
    rows = [
        known[latents.sum().item()]
        for step in range(6)
        for latents in learned.batch(draw(step), seed=0, empty_share=0.0)[0]
    ]
    assert all(Counter(rows[start : start + 3]) == Counter(range(3)) for start in range(0, 12, 3))
    assert rows[:3] != rows[3:6] or rows[:3] != rows[6:9]


def test_captions_go_with_their_pictures_and_without_padding(learned: TrainingSet) -> None:
    known = {learned.latents[row, view].sum().item(): row for row in range(3) for view in range(6)}
    latents, text = learned.batch(draw(4, 1), seed=0, empty_share=0.0)
    caption = learned.texts.take([learned.caption[known[latents.sum().item()]]])
    assert torch.equal(text.states, caption.states[:, : caption.lengths[0]])
    _, empty = learned.batch(draw(4, 1), seed=0, empty_share=1.0)
    assert empty.lengths == learned.texts.nothing.lengths


def test_several_processes_see_what_one_sees(learned: TrainingSet) -> None:
    whole, _ = learned.batch(draw(5, 4), seed=0, empty_share=0.3)
    parts = [learned.batch(draw(5, 4, rank=rank, processes=2), seed=0, empty_share=0.3)[0] for rank in (0, 1)]
    assert torch.equal(whole, torch.cat(parts))
