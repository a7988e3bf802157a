"""Winograd's convolution against torch's."""

from __future__ import annotations

import torch
from torch import nn

from allaprima.paint.bases.vignette.winograd import Winograd


@torch.inference_mode()
def test_it_is_the_convolution() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 12, 3, padding=1)
    x = torch.randn(2, 8, 6, 10).contiguous(memory_format=torch.channels_last)
    tiles = Winograd(layer)(x)
    assert tiles.shape == (2, 2, 2, 3, 5, 12)
    pixels = tiles.permute(2, 5, 3, 0, 4, 1).reshape(2, 12, 6, 10)
    torch.testing.assert_close(pixels, layer(x), rtol=1e-4, atol=1e-5)
