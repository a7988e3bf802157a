"""The network that tells a picture's subjects from what is behind them.

A U-Net (arXiv:1505.04597): down it goes through the first blocks of EfficientNet-Lite0 and one level more, whose
cells are 32 pixels wide, so that it sees the whole picture at once; up through residual convolutions of ours. At a
quarter of the sides it looks at the pixels themselves once more, and a sub-pixel layer (arXiv:1609.05158) gives each
its value.

Shape letters: B pictures, H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from allaprima.paint.bases.vignette.autoencoder import ResidualBlock, Resize
from allaprima.paint.retouch.lite_encoder import LAST_OF_SIZE, WIDTHS, LiteEncoder, MapScale

STRIDE: Final = 32
"""Both sides of a picture must be a multiple of so many pixels."""
SIZES: Final = len(LAST_OF_SIZE)
SEEN: Final = WIDTHS[1:]
"""Channels of the maps it uses, from 1/2 to 1/16 of the sides."""
FINEST: Final = 4
"""Pixels to a cell of its finest level, along a side."""


@dataclass(frozen=True, kw_only=True)
class MatteConfig:
    """The size of the part of a :class:`MatteNetwork` that is ours, from fine (1/4) to coarse (1/32)."""

    widths: tuple[int, ...] = (48, 56, 64, 72)
    depths: tuple[int, ...] = (1, 1, 2, 1)


class MatteNetwork(nn.Module):
    """Picture in, logit of the matte out."""

    def __init__(self, config: MatteConfig | None = None) -> None:
        super().__init__()
        self.config = config or MatteConfig()
        widths = self.config.widths
        self.encoder = LiteEncoder(SIZES)
        self.scales = nn.ModuleList(map(MapScale, SEEN))
        self.enter = nn.ModuleList(
            nn.Conv2d(seen, width, 1) for seen, width in zip(SEEN[1:], widths, strict=False)
        )
        self.look = nn.Conv2d(SEEN[0] * 4 + 3 * FINEST**2, widths[0], 3, padding=1)
        self.down = Resize(SEEN[-1], widths[-1], 2)
        self.levels = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(depth)))
            for width, depth in zip(widths, self.config.depths, strict=True)
        )
        self.up = nn.ModuleList(Resize(coarse, fine, -2) for fine, coarse in pairwise(widths))
        self.head = nn.Conv2d(widths[0], FINEST**2, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (B, H, W) for pictures (B, 3, H, W) in [-1, 1]; sides are multiples of `STRIDE`."""
        half, *maps = (scale(one) for scale, one in zip(self.scales, self.encoder(pixels)[1:], strict=True))
        near = torch.cat(
            [functional.pixel_unshuffle(half, 2), functional.pixel_unshuffle(pixels, FINEST)], dim=1
        )
        x = self.levels[-1](self.down(maps[-1]))
        for size in reversed(range(len(maps))):
            x = self.up[size](x) + self.enter[size](maps[size])
            x = self.levels[size](x + self.look(near) if size == 0 else x)
        return functional.pixel_shuffle(self.head(x), FINEST)[:, 0]
