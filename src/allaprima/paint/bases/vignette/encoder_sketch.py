"""The encoder as one linear map: nearly its latents, for a hundredth of its time.

A latent is mostly a weighted sum of the pixels around it: of the variance of what the encoder returns, a map of the
3x3 cells around each, at a quarter of the resolution, leaves 3 % open on pictures like those it is fitted to and 6 %
on painted ones. Under the noise that a first frame over a picture begins with, nobody sees the difference.

It is fitted to the encoder once, by least squares on pictures of blots that are always the same, so that it suits any
weights and nothing has to be shipped.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from allaprima.paint.bases.vignette.autoencoder import STRIDE

POOL = 4
"""Pixels along a side that are averaged."""
REACH = 1
"""Cells around a cell that are looked at, on each side."""
SIDE, PICTURES = 256, 48
"""Of the pictures that it is fitted to."""
_RIDGE = 1.0
"""Holds the map small where the pictures say nothing."""


class EncoderSketch:
    """A linear stand-in for an encoder.

    Args:
        encode: maps pixels (B, 3, H, W) in [0, 1] to latents (B, C, H/16, W/16).
    """

    def __init__(self, encode: Callable[[Tensor], Tensor]) -> None:
        self._encode = encode
        self._fitted: tuple[Tensor, Tensor] | None = None

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> Tensor:
        """Return about the latents of `pixels`; the first call fits the map, which takes as long as 48 pictures."""
        if self._fitted is None:
            self._fitted = self._fit()
        weight, bias = self._fitted
        return functional.conv2d(_surroundings(pixels.to(weight)), weight, bias)

    def _fit(self) -> tuple[Tensor, Tensor]:
        """Return weight (C, K, 3, 3) and bias (C,) of the map with the least squares."""
        pictures = [_blots(random.Random(number)) for number in range(PICTURES)]
        latents = torch.cat([self._encode(picture) for picture in pictures]).float()
        seen = torch.cat([_surroundings(picture) for picture in pictures]).to(latents.device)
        side = 2 * REACH + 1
        rows = functional.unfold(seen, side).transpose(1, 2).flatten(0, 1).double()
        rows = torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1)
        wanted = latents.permute(0, 2, 3, 1).flatten(0, 2).double()
        square = rows.T @ rows + _RIDGE * torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
        solution = torch.linalg.solve(square, rows.T @ wanted).T.float()
        weight = solution[:, :-1].reshape(len(solution), -1, side, side).contiguous()
        return weight, solution[:, -1].contiguous()


def _surroundings(pixels: Tensor) -> Tensor:
    """Return the averaged pixels (B, K, h + 2, w + 2) of each cell, the outermost cells repeated around them."""
    cells = functional.pixel_unshuffle(functional.avg_pool2d(pixels, POOL), STRIDE // POOL)
    return functional.pad(cells.mul(2.0).sub(1.0), (REACH,) * 4, mode="replicate")


def _blots(chosen: random.Random) -> Tensor:
    """Return a picture (1, 3, SIDE, SIDE) in [0, 1] of coloured shapes of every size."""

    def colour() -> tuple[int, ...]:
        return tuple(chosen.randrange(256) for _ in range(3))

    image = Image.new("RGB", (SIDE, SIDE), colour())
    draw = ImageDraw.Draw(image)
    for _ in range(chosen.choice((3, 8, 15, 30))):
        x, y = (chosen.randrange(-20, SIDE) for _ in range(2))
        wide, high = (chosen.randrange(3, 120) for _ in range(2))
        match chosen.randrange(4):
            case 0:
                draw.ellipse((x, y, x + wide, y + high), fill=colour())
            case 1:
                draw.rectangle((x, y, x + wide, y + high), fill=colour())
            case 2:
                draw.line((x, y, x + wide, y + high - 60), fill=colour(), width=chosen.randrange(1, 16))
            case _:
                corners = [(chosen.randrange(SIDE), chosen.randrange(SIDE)) for _ in range(3)]
                draw.polygon(corners, fill=colour())
    levels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return levels.view(1, SIDE, SIDE, 3).permute(0, 3, 1, 2).float() / 255.0
