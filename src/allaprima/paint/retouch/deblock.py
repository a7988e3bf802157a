"""The de-block network: a picture in, the same picture without what few steps and large cells leave in it.

Twelve 3x3 convolutions, less than a megabyte. Squares of pixels become channels first, which saves three quarters of
the time; what the network learns is only the difference to the picture (DnCNN, Zhang et al. 2017, arXiv:1608.03981).
Before training it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from allaprima.paint.retouch.convolution_pair import ConvolutionPair


@dataclass(frozen=True, kw_only=True)
class DeblockConfig:
    """The size of a de-block network."""

    channels: int = 64
    pairs: int = 5
    """Pairs of convolutions; with the first and the last convolution there are twelve."""
    fold: int = 2
    """Pixels along a side that become channels."""


class DeblockNetwork(nn.Module):
    """See the module; takes and gives floats in [0, 1], (B, 3, H, W), H and W multiples of the fold."""

    def __init__(self, config: DeblockConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DeblockConfig()
        folded = 3 * config.fold**2
        self.enter = nn.Conv2d(folded, config.channels, 3, padding=1)
        self.pairs = nn.ModuleList(ConvolutionPair(config.channels) for _ in range(config.pairs))
        self.leave = nn.Conv2d(config.channels, folded, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the pixels without blocks; what leaves [0, 1] is the caller's to cut."""
        folded = functional.pixel_unshuffle(pixels, self.config.fold).to(self.enter.weight.dtype)
        state = functional.leaky_relu(self.enter(folded), 0.1)
        for pair in self.pairs:
            state = pair(state)
        difference = functional.pixel_shuffle(self.leave(state), self.config.fold)
        return pixels + difference.to(pixels.dtype)


@torch.inference_mode()
def without_blocks(pixels: Tensor, network: DeblockNetwork) -> Tensor:
    """Return pictures (B, 3, H, W) in [0, 1] of any size without blocks, in [0, 1]."""
    height, width = pixels.shape[2:]
    down, right = (-side % network.config.fold for side in (height, width))
    device = next(network.parameters()).device
    padded = functional.pad(pixels.to(device), (0, right, 0, down), mode="replicate")
    cleaned: Tensor = network(padded.contiguous(memory_format=torch.channels_last))
    return cleaned[:, :, :height, :width].clamp(0, 1)
