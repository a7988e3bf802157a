from __future__ import annotations

import pytest
import torch
from torch import Tensor

from allaprima.lab.comparison.looks import BATCH, batches, look_at


def edges(width: int) -> Tensor:
    """A picture whose middle goes from black to white over `width` pixels."""
    ramp = ((torch.arange(256) - 128) / width + 0.5).clamp(0, 1)
    return ramp.expand(3, 256, 256)


def test_soft_outlines_have_weaker_steps() -> None:
    sharp, soft = look_at([edges(1), edges(1)], None), look_at([edges(16), edges(16)], None)
    assert soft.steps < 0.5 * sharp.steps
    assert sharp.features is None


def test_pictures_are_looked_at_one_by_one() -> None:
    both = look_at([edges(1), edges(8)], None).steps
    apart = [look_at([edges(width)], None).steps for width in (1, 8)]
    assert both == pytest.approx(sum(apart) / 2)


def test_batches_hold_every_picture_once() -> None:
    sizes = [len(batch) for batch in batches(torch.zeros(3, 8, 8) for _ in range(BATCH + 1))]
    assert sizes == [BATCH, 1]
