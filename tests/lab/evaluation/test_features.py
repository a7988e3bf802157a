from __future__ import annotations

import pytest
import torch

from allaprima.lab.evaluation.features import ImageFeatures


@pytest.fixture(scope="module")
def features() -> ImageFeatures:
    return ImageFeatures.load()


def test_each_picture_has_a_vector_of_its_own(features: ImageFeatures) -> None:
    pictures = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    vectors = features.describe(pictures, batch=2)
    assert vectors.shape == (3, 1280)
    torch.testing.assert_close(vectors[2:], features.describe(pictures[2:]), rtol=1e-4, atol=1e-5)


def test_gradients_reach_pictures_of_any_number_format(features: ImageFeatures) -> None:
    """A decoder under autocast gives bf16, which torch cannot shrink on a processor."""
    picture = (
        torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_(True)
    )
    with torch.autocast("cpu", torch.bfloat16):
        maps = features.maps(picture)
    assert all(one.isfinite().all() for one in maps)
    sum(one.float().square().mean() for one in maps).backward()  # type: ignore[union-attr]
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0
