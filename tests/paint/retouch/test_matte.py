from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tiny_retouch import KnownMatte, disc_before, tiny_matte_network

from allaprima.core.errors import PictureError
from allaprima.paint.retouch.matte import ShippedMatte, find_subject
from allaprima.paint.retouch.matte_network import STRIDE


def test_the_network_gives_every_pixel_a_value() -> None:
    network = tiny_matte_network()
    assert network(torch.zeros(2, 3, 2 * STRIDE, STRIDE)).shape == (2, 2 * STRIDE, STRIDE)


@pytest.mark.parametrize("size", [(256, 256), (100, 60), (1, 1), (7, 300), (640, 333)])
def test_pictures_of_any_size_get_a_matte_of_their_size(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    matte = ShippedMatte(network=tiny_matte_network()).find(Image.fromarray(noise))
    assert matte.shape == (size[1], size[0])
    assert matte.dtype == np.float32
    assert 0 <= matte.min() <= matte.max() <= 1


def test_a_small_picture_is_seen_pixel_by_pixel() -> None:
    network = tiny_matte_network()
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    pixels = torch.from_numpy(noise).permute(2, 0, 1)[None].float() / 127.5 - 1
    direct = network(pixels)[0].sigmoid().numpy()
    assert np.abs(ShippedMatte(network=network).find(Image.fromarray(noise)) - direct).max() < 1e-4


def test_nothing_that_stands_out_is_an_error() -> None:
    finder = ShippedMatte(network=tiny_matte_network(bias=-50))
    with pytest.raises(PictureError, match="nothing stands out"):
        find_subject(Image.new("RGB", (64, 64)), finder)


def test_faint_values_are_cleared() -> None:
    image, matte = disc_before("#2040d0")
    faint = KnownMatte(matte=(0.02 + 0.96 * matte).astype(np.float32))
    assert np.abs(find_subject(image, faint) - matte).max() < 0.03
    assert set(np.unique(find_subject(image, faint)[matte == 0])) == {0.0}
