"""Numbers about pixels and rates, against known values."""

from __future__ import annotations

import pytest
import torch

from allaprima.lab.evaluation.intervals import newcombe_interval, wilson_interval
from allaprima.lab.evaluation.metrics import find_fault, psnr, ssim


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), "Two-sided confidence intervals", table I
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_has_its_published_values(right: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)


def test_without_trials_nothing_is_known() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_more_right_than_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="got 3 right of 2"):
        wilson_interval(3, 2)


def test_newcombe_interval_has_its_published_values() -> None:
    # Newcombe (1998), "Interval estimation for the difference", table II, method 10: 56/70 - 48/80
    assert newcombe_interval((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_psnr_of_a_known_error() -> None:
    target = torch.full((2, 3, 16, 16), 0.5)
    pictures = target + torch.tensor([0.1, 0.01])[:, None, None, None]
    assert psnr(pictures, target).tolist() == pytest.approx([20.0, 40.0], abs=1e-3)
    assert psnr(target, target).isinf().all()


def test_ssim_is_one_for_equal_pictures_and_falls_with_noise() -> None:
    picture = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert ssim(picture, picture).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    noisy = picture.clone()
    noisy[1] = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert ssim(noisy, picture)[1] < 0.3


def test_faults() -> None:
    picture = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert find_fault(picture) is None
    assert find_fault(torch.zeros(3, 8, 8)) == "black"
    assert find_fault(torch.full((3, 8, 8), 0.7)) == "constant"
    coloured = torch.tensor([0.9, 0.1, 0.4])[:, None, None].expand(3, 8, 8)
    assert find_fault(coloured) == "constant"
    for bad in (torch.nan, torch.inf):
        broken = picture.clone()
        broken[1, 2, 3] = bad
        assert find_fault(broken) == "nan"
