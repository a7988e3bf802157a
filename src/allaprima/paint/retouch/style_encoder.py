"""What a style is: means and deviations of an encoder's channels (Huang & Belongie 2017, arXiv:1703.06868)."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

from allaprima.paint.retouch.lite_encoder import WIDTHS as ENCODER_WIDTHS

SIZES: Final = 3
"""The restyling looks at 1/2, 1/4 and 1/8 of a picture's sides."""
STRIDE: Final = 8
"""Both sides of a picture must be a multiple of so many pixels."""
WIDTHS: Final = ENCODER_WIDTHS[: SIZES + 1]
"""Channels of the maps: of the stem and of the three sizes."""


class Statistics(NamedTuple):
    """What a style is at one map: each channel's mean and deviation over the picture, (B, C, 1, 1)."""

    mean: Tensor
    deviation: Tensor


def statistics_of(features: Tensor) -> Statistics:
    """Return the statistics of a map (B, C, h, w)."""
    variance, mean = torch.var_mean(features, (2, 3), keepdim=True, correction=0)
    return Statistics(mean, (variance + 1e-5).sqrt())
