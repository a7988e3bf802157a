"""The small upscaler that ships: a picture in, the picture with twice the pixels a side out.

Every pixel becomes a square of four (sub-pixel convolution, Shi et al. 2016, arXiv:1609.05158), and what the network
learns is only how these differ from the pixel (an anchor, as in ABPN, Du et al. 2021, arXiv:2105.09750). All
convolutions are 3x3 and at the small size, which is what processors are quick at.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from allaprima.paint.retouch.convolution_pair import ConvolutionPair

SCALE = 2


@dataclass(frozen=True, kw_only=True)
class UpscalerConfig:
    """The size of an upscaler."""

    channels: int = 32
    pairs: int = 5
    """Pairs of convolutions with a shortcut around each."""

    @property
    def reach(self) -> int:
        """How many pixels away a pixel of the picture still has a say: one for each convolution."""
        return 2 * self.pairs + 2


class Upscaler(nn.Module):
    """See the module; takes and gives floats in [0, 1], (B, 3, H, W) and (B, 3, 2H, 2W)."""

    def __init__(self, config: UpscalerConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Conv2d(3, config.channels, 3, padding=1)
        self.pairs = nn.ModuleList(ConvolutionPair(config.channels) for _ in range(config.pairs))
        self.leave = nn.Conv2d(config.channels, 3 * SCALE**2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the pixels with twice as many a side; what leaves [0, 1] is the caller's to cut.

        The network may compute in bf16; the pixels themselves, which bf16 would round to steps of 1/256, stay exact.
        """
        state = functional.leaky_relu(self.enter(pixels.to(self.enter.weight.dtype)), 0.1)
        for pair in self.pairs:
            state = pair(state)
        difference = self.leave(state).to(pixels.dtype)
        return functional.pixel_shuffle(difference + pixels.repeat_interleave(SCALE**2, dim=1), SCALE)
