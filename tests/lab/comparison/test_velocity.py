"""The velocity's error: nothing for who knows the answer, and over the right cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny_vignette import WIDTH
from torch import Tensor

from allaprima.lab.comparison.velocity import velocity_errors
from allaprima.lab.training.alignment import GROUPS
from allaprima.lab.training.latents import CAPTIONS, LatentCache
from allaprima.lab.training.resident import Resident
from allaprima.paint.bases.vignette.denoiser import Denoiser, DenoiserConfig

CONFIG = DenoiserConfig(
    latent_channels=4,
    layers=1,
    heads=2,
    head_width=16,
    text_width=WIDTH,
    rope_axes=(4, 6, 6),
    layout_channels=4,
)


@pytest.fixture
def scenes(tmp_path: Path) -> Resident:
    """Six scenes whose latents are zero, half covered by a subject."""
    count = 6
    masks = np.zeros((count, 16, 16), np.uint8)
    masks[:, :8] = 255
    np.save(tmp_path / "latents.npy", np.zeros((count, 4, 16, 16), np.float16))
    np.save(tmp_path / "masks.npy", masks)
    np.save(tmp_path / "names.npy", np.zeros((count, len(GROUPS), 8, 8), np.int16))
    np.save(tmp_path / "states.npy", np.zeros((3, WIDTH), np.float16))
    np.save(tmp_path / "spans.npy", np.broadcast_to([0, 3], (count, CAPTIONS, 2)))
    np.save(tmp_path / "empty.npy", np.zeros((2, WIDTH), np.float16))
    return Resident([LatentCache.open(tmp_path)], torch.device("cpu"))


class Knowing(Denoiser):
    """Knows that every picture is zero, and is wrong by its layout."""

    def forward(self, latents: Tensor, t: Tensor, *inputs: Tensor | None) -> Tensor:  # type: ignore[override]
        """Return the velocity."""
        velocity = latents / t[:, None, None, None]
        return velocity if inputs[2] is None else velocity + inputs[2]


def test_who_knows_the_answer_makes_no_error(scenes: Resident) -> None:
    errors = velocity_errors(Knowing(CONFIG), scenes, batch=4)
    assert [error.time for error in errors] == [0.98, 0.9, 0.8, 0.6]
    assert all(error.everywhere < 1e-9 and error.under_subjects < 1e-9 for error in errors)


def test_errors_are_counted_where_they_are(scenes: Resident) -> None:
    layout = torch.zeros(6, 4, 16, 16)
    layout[:, :, 8:] = 2.0
    (error,) = velocity_errors(Knowing(CONFIG), scenes, layout, times=(0.5,), batch=4)
    assert error.everywhere == pytest.approx(2.0)
    assert error.under_subjects == pytest.approx(0.0, abs=1e-9)


def test_errors_do_not_depend_on_the_batch(scenes: Resident) -> None:
    torch.manual_seed(0)
    model = Denoiser(CONFIG)
    for one, other in zip(*(velocity_errors(model, scenes, batch=size) for size in (2, 6)), strict=True):
        assert one.everywhere == pytest.approx(other.everywhere, rel=1e-4)
