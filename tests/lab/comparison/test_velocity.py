"""The velocity's error: nothing for who knows the answer, and over the right cells."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.lab.comparison.zero_scenes import CONFIG, zero_scenes
from torch import Tensor

from allaprima.lab.comparison.velocity import velocity_errors
from allaprima.lab.training.resident import Resident
from allaprima.paint.bases.vignette.denoiser import Denoiser


@pytest.fixture
def scenes(tmp_path: Path) -> Resident:
    return zero_scenes(tmp_path)


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
