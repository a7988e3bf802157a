"""Numbers about pixels and rates, against known values."""

from __future__ import annotations

import pytest
import torch

from allaprima.lab.evaluation.metrics import find_fault, psnr, ssim


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
