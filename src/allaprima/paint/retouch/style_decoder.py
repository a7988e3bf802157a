"""Adaptive instance normalisation and the decoder that paints what comes of it.

Each map of a picture is given the style's mean and deviation, channel by channel (Huang & Belongie 2017,
arXiv:1703.06868, equation 8), the finer maps too, so that outlines stay where they are. The statistics themselves are
told to the decoder's coarsest level, and every level hears the style's name, if it has one: by them it knows a
drawing in lines from a painting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from allaprima.core.retouch import STYLE_NAMES
from allaprima.paint.bases.vignette.autoencoder import ResidualBlock, Resize
from allaprima.paint.retouch.lite_encoder import MapScale
from allaprima.paint.retouch.style_encoder import WIDTHS, Statistics, statistics_of

MOST_GAIN: Final = 4.0
"""What is nearly flat in a picture is raised no further: beyond is noise."""


@dataclass(frozen=True, kw_only=True)
class StyleConfig:
    """The size of a :class:`StyleDecoder`, from coarse (1/8) to fine (1/2)."""

    widths: tuple[int, int, int] = (80, 48, 32)
    depths: tuple[int, int, int] = (2, 2, 1)


class StyleDecoder(nn.Module):
    """Maps of a picture and statistics of a style in, a picture out."""

    def __init__(self, config: StyleConfig | None = None) -> None:
        super().__init__()
        self.config = config or StyleConfig()
        coarse, middle, fine = self.config.widths
        self.scales = nn.ModuleList(map(MapScale, WIDTHS))
        self.told = nn.Linear(2 * sum(WIDTHS), coarse)
        self.enter = nn.ModuleList(
            nn.Conv2d(width, out, 1) for width, out in zip(WIDTHS, (fine, fine, middle, coarse), strict=True)
        )
        self.levels = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(depth)))
            for width, depth in zip(self.config.widths, self.config.depths, strict=True)
        )
        self.up = nn.ModuleList((Resize(coarse, middle, -2), Resize(middle, fine, -2)))
        self.hints = nn.ModuleList(
            nn.Linear(len(STYLE_NAMES), width, bias=False) for width in self.config.widths
        )
        for hint in self.hints:
            nn.init.zeros_(hint.weight)  # type: ignore[arg-type]
        self.head = nn.Conv2d(fine, 12, 3, padding=1)

    def forward(self, maps: Sequence[Tensor], styles: Sequence[Statistics], names: Tensor) -> Tensor:
        """Return pictures (B, 3, H, W), about [-1, 1] and not clamped.

        Args:
            maps: the encoder's, of pictures of that size.
            styles: the statistics that each map is given.
            names: how much of each style with a name (B, `STYLE_NAMES`) there is in them, 0 to 1; nothing for others.
        """
        turned = [
            scale(adapt(one, style)) for scale, one, style in zip(self.scales, maps, styles, strict=True)
        ]
        stem, half, quarter, eighth = (enter(one) for enter, one in zip(self.enter, turned, strict=True))
        told = [told_of(scale, style) for scale, style in zip(self.scales, styles, strict=True)]
        hints = [hint(names)[:, :, None, None] for hint in self.hints]
        x = eighth + self.told(torch.cat(told, dim=1))[:, :, None, None]
        x = self.up[0](self.levels[0](x + hints[0]))
        x = self.up[1](self.levels[1](x + quarter + hints[1]))
        x = self.levels[2](x + half + stem + hints[2])
        return functional.pixel_shuffle(self.head(x), 2)


def told_of(scale: nn.Module, style: Statistics) -> Tensor:
    """Return a style's statistics at a map as a vector (B, 2 C), scaled as the map is."""
    assert isinstance(scale, MapScale)
    mean = (style.mean.flatten(1) - scale.mean) / scale.deviation
    return torch.cat([mean, style.deviation.flatten(1) / scale.deviation - 1], dim=1)


def adapt(features: Tensor, style: Statistics) -> Tensor:
    """Return a map (B, C, h, w) with the style's mean and deviation, as far as `MOST_GAIN` allows: AdaIN."""
    own = statistics_of(features)
    return (features - own.mean) * (style.deviation / own.deviation).clamp(max=MOST_GAIN) + style.mean


def blend(first: Sequence[Statistics], second: Sequence[Statistics], share: float) -> list[Statistics]:
    """Return the statistics that are `share` (0..1) of the way from the first style to the second."""
    return [
        Statistics(torch.lerp(one.mean, other.mean, share), torch.lerp(one.deviation, other.deviation, share))
        for one, other in zip(first, second, strict=True)
    ]
