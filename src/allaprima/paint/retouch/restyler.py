"""Painting a picture in another style, as one module: it looks, turns the statistics, and paints.

Two ways lead to a style. A picture has the statistics that the encoder sees in it. A style with a name has a rule for
each statistic, how it follows from the same one of the picture that is to be restyled, so that night stays night.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from allaprima.core.retouch import STYLE_NAMES
from allaprima.paint.retouch.lite_encoder import LiteEncoder
from allaprima.paint.retouch.style_decoder import StyleConfig, StyleDecoder, blend
from allaprima.paint.retouch.style_encoder import SIZES, WIDTHS, Statistics, statistics_of

StyleStatistics = Sequence[Statistics]
"""The statistics of all maps."""


class Restyler(nn.Module):
    """Encoder, decoder and the rules of the styles with names."""

    slopes: Tensor
    offsets: Tensor

    def __init__(self, config: StyleConfig | None = None) -> None:
        super().__init__()
        self.encoder = LiteEncoder(SIZES)
        self.decoder = StyleDecoder(config)
        shape = (len(STYLE_NAMES), 2, sum(WIDTHS))
        self.register_buffer("slopes", torch.ones(shape))
        self.register_buffer("offsets", torch.zeros(shape))

    @property
    def config(self) -> StyleConfig:
        """The decoder's size; the encoder has but one."""
        return self.decoder.config

    def style_of(self, pixels: Tensor) -> StyleStatistics:
        """Return the style of a picture (1, 3, H, W) in [-1, 1], whose sides are multiples of 8."""
        return [statistics_of(one) for one in self.encoder(pixels)]

    def named_style(self, name: str, own: StyleStatistics) -> StyleStatistics:
        """Return the style called `name`, one of `STYLE_NAMES`, for a picture whose own is `own`."""
        number, start, style = STYLE_NAMES.index(name), 0, []
        for one in own:
            part = slice(start, start + one.mean.shape[1])
            slopes, offsets = (table[number, :, part, None, None] for table in (self.slopes, self.offsets))
            deviation = (one.deviation * slopes[1] + offsets[1]).clamp(min=1e-3)
            style.append(Statistics(one.mean * slopes[0] + offsets[0], deviation))
            start = part.stop
        return style

    def forward(self, pixels: Tensor, style: StyleStatistics | str, strength: float = 1.0) -> Tensor:
        """Return a picture (1, 3, H, W) in a style, about [-1, 1].

        Args:
            pixels: the picture, in [-1, 1]; its sides are multiples of 8.
            style: statistics, or the name of a style.
            strength: 0 for the picture's own statistics, 1 for the style's.
        """
        maps = self.encoder(pixels)
        own = [statistics_of(one) for one in maps]
        wanted = self.named_style(style, own) if isinstance(style, str) else style
        names = pixels.new_tensor(
            [[strength * (style == name) if isinstance(style, str) else 0.0 for name in STYLE_NAMES]]
        )
        painted: Tensor = self.decoder(maps, blend(own, wanted, strength), names)
        return painted
