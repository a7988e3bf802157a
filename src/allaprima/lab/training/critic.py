"""A critic of pictures: it tells what a decoder made from what the renderer drew, part by part.

It looks through a frozen network that has seen photographs (projected GANs, Sauer et al. 2021, arXiv:2111.01007) and
at the pixels themselves (PatchGAN, Isola et al. 2016, arXiv:1611.07004). Its layers are held to slope 1 by spectral
normalisation (Miyato et al. 2018, arXiv:1802.05957).

Shape letters: B pictures, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from allaprima.paint.retouch.lite_encoder import WIDTHS as MAP_WIDTHS

SLOPE = 0.2


class Critic(nn.Module):
    """A head for each map, and one for the pixels."""

    def __init__(self, map_widths: Sequence[int] = MAP_WIDTHS[:4], hidden: int = 48) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_head(width, hidden) for width in map_widths)
        self.pixels = nn.Sequential(
            _convolution(3, hidden, 4, stride=2), nn.LeakyReLU(SLOPE),
            _convolution(hidden, 2 * hidden, 4, stride=2), nn.LeakyReLU(SLOPE),
            _convolution(2 * hidden, 1, 3),
        )  # fmt: skip

    def forward(self, pixels: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return votes, each (B, 1, rows, columns), on pictures (B, 3, H, W) and their maps; above zero is real."""
        votes = [head(features) for head, features in zip(self.heads, maps, strict=True)]
        return [*votes, self.pixels(pixels)]


def _head(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(width, hidden, 3), nn.LeakyReLU(SLOPE), _convolution(hidden, hidden, 3), nn.LeakyReLU(SLOPE),
        _convolution(hidden, 1, 1),
    )  # fmt: skip


def _convolution(width_in: int, width_out: int, side: int, *, stride: int = 1) -> nn.Module:
    padding = (side - 1) // 2
    return spectral_norm(nn.Conv2d(width_in, width_out, side, stride=stride, padding=padding))


def hinge(real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
    """Return the critic's loss: votes on what is real are to be above 1, on what was made below -1."""
    errors = [
        functional.relu(1 - one.float()).mean() + functional.relu(1 + other.float()).mean()
        for one, other in zip(real, made, strict=True)
    ]
    return torch.stack(errors).mean()


def praise(made: Sequence[Tensor]) -> Tensor:
    """Return the mean vote on what was made, which its maker raises."""
    return torch.stack([votes.float().mean() for votes in made]).mean()
