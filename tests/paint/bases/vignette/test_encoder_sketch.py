"""The encoder's sketch: the best linear map there is, the same whenever it is fitted, and good for any size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from allaprima.paint.bases.vignette.autoencoder import Autoencoder, AutoencoderConfig
from allaprima.paint.bases.vignette.encoder_sketch import EncoderSketch


def averages(pixels: Tensor) -> Tensor:
    """An encoder that is linear itself: a cell's redness, and how much brighter it is than the one above."""
    red, _, _ = functional.avg_pool2d(pixels, 16).unbind(1)
    padded = functional.pad(functional.avg_pool2d(pixels, 16), (1, 1, 1, 1), mode="replicate").mean(1)
    return torch.stack([3.0 * red - 1.0, padded[:, 1:-1, 1:-1] - padded[:, :-2, 1:-1]], dim=1)


def pixels(height: int = 64, width: int = 96) -> Tensor:
    small = torch.rand(2, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(0))
    return functional.interpolate(small, scale_factor=8, mode="bilinear")


def test_an_encoder_that_is_linear_is_met() -> None:
    sketch = EncoderSketch(averages)
    for size in ((64, 96), (16, 16), (256, 256)):
        torch.testing.assert_close(sketch.encode(pixels(*size)), averages(pixels(*size)), atol=0.03, rtol=0.0)


def test_it_is_fitted_once_and_always_alike() -> None:
    encoded = []

    def encode(picture: Tensor) -> Tensor:
        encoded.append(len(picture))
        return averages(picture)

    first, second = EncoderSketch(encode), EncoderSketch(encode)
    assert torch.equal(first.encode(pixels()), second.encode(pixels()))
    before = len(encoded)
    first.encode(pixels())
    assert len(encoded) == before


def test_of_an_encoder_that_is_not_linear_most_is_met() -> None:
    model = Autoencoder(
        AutoencoderConfig(latent_channels=4, encoder_widths=(8, 8, 8), encoder_depths=(1, 1, 1))
    ).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=generator)

    def encode(picture: Tensor) -> Tensor:
        return model.encode(picture.mul(2.0).sub(1.0))

    with torch.inference_mode():
        right = encode(pixels(128, 128))
    wrong = EncoderSketch(encode).encode(pixels(128, 128)) - right
    assert wrong.var() < 0.5 * right.var()
