"""Pictures with a mask, and stock diffusers' answers to them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from allaprima.core.events import Finished
from allaprima.core.init_image import InitImage
from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter


def masked_picture(width: int, height: int, strength: float, box: tuple[int, int, int, int]) -> InitImage:
    """Return a colourful picture of which a box (left, top, right, bottom) is painted."""
    rows, columns = np.mgrid[0:height, 0:width]
    rgb = np.stack([columns * 255 // width, rows * 255 // height, (rows ^ columns) % 256], axis=-1)
    mask = Image.new("L", (width, height))
    mask.paste(255, box)
    return InitImage.from_image(
        Image.fromarray(rgb.astype(np.uint8)), width=width, height=height, strength=strength, mask=mask
    )


def stock_inpaint(pipeline: Any, init_image: InitImage, **settings: Any) -> torch.Tensor:
    """Return the pixels (B, 3, H, W) of a stock inpainting pipeline, before rounding and before anything is pasted.

    Stock draws the picture's latents at random from what the autoencoder says; here it takes the likeliest, as we do.
    """
    encode = pipeline.vae.encode
    # A stock pipeline takes `latents` for what they are.
    pipeline.vae.encode = lambda image: SimpleNamespace(latents=encode(image).latent_dist.mode())
    size = (init_image.width, init_image.height)
    pixels: torch.Tensor = pipeline(
        image=Image.frombytes("RGB", size, init_image.rgb),
        mask_image=Image.frombytes("L", size, init_image.mask or b""),
        strength=init_image.strength,
        width=size[0],
        height=size[1],
        output_type="pt",
        **settings,
    ).images
    del pipeline.vae.encode
    return pixels


def finished_pixels(painter: Painter, request: GenerationRequest, init_image: InitImage) -> torch.Tensor:
    """Return our pixels (1, 3, H, W) of a request, rounded to the levels of a file."""
    *_, last = painter.events(request, init_image=init_image)
    assert isinstance(last, Finished)
    (picture,) = last.pictures
    levels = torch.frombuffer(bytearray(picture.rgb), dtype=torch.uint8)
    return levels.view(1, request.height, request.width, 3).permute(0, 3, 1, 2)


def assert_inpainted_alike(mine: torch.Tensor, stock: torch.Tensor, init_image: InitImage) -> None:
    """Refuse a level that differs by more than one from stock's where it is painted, or at all where it is kept."""
    size = (init_image.height, init_image.width)
    painted = torch.frombuffer(bytearray(init_image.mask or b""), dtype=torch.uint8).view(size) > 0
    own = torch.frombuffer(bytearray(init_image.rgb), dtype=torch.uint8).view(*size, 3).permute(2, 0, 1)[None]
    levels = stock.mul(255).round().int()
    assert levels[..., painted].float().std() > 1  # what is painted is not flat, so likeness says something
    assert (mine.int() - levels)[..., painted].abs().max() <= 1
    assert torch.equal(mine[..., ~painted], own[..., ~painted])
    assert not torch.equal(mine[..., painted], own[..., painted])
