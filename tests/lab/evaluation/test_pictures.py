"""What is measured of pictures, where the answer is known."""

from __future__ import annotations

import pytest
import torch

from allaprima.lab.evaluation.pictures import diversity, frechet, high_frequencies, saturation


def test_frechet_of_normal_clouds_is_what_the_formula_says() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(4000, 3, generator=generator)
    second = 2 * torch.randn(4000, 3, generator=generator) + torch.tensor([3.0, 0, 0])
    assert frechet(first, first) == pytest.approx(0, abs=1e-6)
    assert frechet(first, second) == pytest.approx(9 + 3 * (2 - 1) ** 2, rel=0.1)


def test_diversity_is_the_mean_distance_within_a_prompt() -> None:
    features = torch.tensor([[[0.0, 0], [3, 4]], [[10, 10], [10, 10]]])
    assert diversity(features) == pytest.approx(2.5)


def test_saturation_and_high_frequencies() -> None:
    grey, red = torch.full((1, 3, 32, 32), 0.5), torch.zeros(1, 3, 32, 32)
    red[:, 0] = 1
    assert saturation(grey) == 0
    assert saturation(red) == 1
    assert high_frequencies(grey) == pytest.approx(0, abs=1e-6)
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2
    grid = board.float().expand(1, 3, 32, 32)
    assert high_frequencies(grid) > 100
