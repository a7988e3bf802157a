from __future__ import annotations

import torch
from torch import nn

from allaprima.paint.memory.norm_statistics import shared_statistics, shrink


def test_a_smaller_picture_has_numbers_of_the_larger_one() -> None:
    whole = torch.randn(1, 3, 64, 32)
    small = shrink(whole, cells=128, cell=2)
    assert small.shape == (1, 3, 32, 16)
    assert bool(torch.isin(small, whole).all())
    assert torch.equal(shrink(whole, cells=10**6), whole)


def test_a_part_is_normalised_as_the_whole_is() -> None:
    norm = nn.GroupNorm(2, 4)
    whole = torch.randn(1, 4, 16, 16) + torch.linspace(-5, 5, 16)
    expected = norm(whole)[..., :4]
    with shared_statistics([norm], norm, whole, cells=256):
        part = norm(whole[..., :4])
    torch.testing.assert_close(part, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(norm(whole[..., :4]), expected, atol=0.1)
