"""What is measured of pictures, where the answer is known."""

from __future__ import annotations

import pytest
import torch

from allaprima.lab.evaluation.pictures import (
    contrast,
    diversity,
    frechet,
    high_frequencies,
    perceptual_distances,
    saturation,
)


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


def test_contrast_is_that_of_brightness() -> None:
    grey = torch.full((2, 3, 8, 8), 0.5)
    halves = torch.cat([torch.zeros(2, 3, 8, 4), torch.ones(2, 3, 8, 4)], -1)
    assert contrast(grey) == pytest.approx(0, abs=1e-6)
    assert contrast(halves) == pytest.approx(0.504, abs=1e-3)
    assert contrast(halves[:, [1]] * torch.tensor([1.0, 0, 0])[None, :, None, None]) < 0.2


def test_perceptual_distance_does_not_see_how_strong_features_are() -> None:
    draw = torch.Generator().manual_seed(0)
    maps = [torch.randn(3, 4, 5, 5, generator=draw), torch.randn(3, 8, 2, 2, generator=draw)]
    same = perceptual_distances(maps, [3 * one for one in maps])
    assert same == pytest.approx(torch.zeros(3), abs=1e-5)
    opposite = perceptual_distances(maps, [-one for one in maps])
    assert opposite == pytest.approx(torch.full((3,), 4.0), abs=1e-4)
