"""The first blocks of EfficientNet-Lite0 (arXiv:1905.11946), which have seen a million photographs.

The cut-out begins with them, for whoever knows what things look like need not learn it from our drawings; the
restyling reads styles off them. Their normalisations are folded into their convolutions. Convolutions of stride 2 pad
below and on the right, as TensorFlow does, where the weights were trained.

Shape letters: B pictures, H and W pixels.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class BlockShape(NamedTuple):
    """The channels, the kernel's side, the stride and the expansion of a block."""

    entering: int
    leaving: int
    kernel: int
    stride: int
    expansion: int


STEM_WIDTH: Final = 32
BLOCKS: Final = (
    BlockShape(32, 16, 3, 1, 1), BlockShape(16, 24, 3, 2, 6), BlockShape(24, 24, 3, 1, 6),
    BlockShape(24, 40, 5, 2, 6), BlockShape(40, 40, 5, 1, 6), BlockShape(40, 80, 3, 2, 6),
    BlockShape(80, 80, 3, 1, 6), BlockShape(80, 80, 3, 1, 6),
)  # fmt: skip
LAST_OF_SIZE: Final = (0, 2, 4, 7)
"""The last block at 1/2, 1/4, 1/8 and 1/16 of a picture's sides."""
WIDTHS: Final = (STEM_WIDTH, *(BLOCKS[number].leaving for number in LAST_OF_SIZE))
"""Channels of the maps that an encoder may return: the stem's, and those of these blocks."""
LEAST_DEVIATION: Final = 0.1


class InvertedBottleneck(nn.Module):
    """A mobile inverted bottleneck (arXiv:1801.04381) whose normalisations are in its convolutions."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        wide = shape.entering * shape.expansion
        self.shape = shape
        self.expand = nn.Conv2d(shape.entering, wide, 1) if shape.expansion > 1 else None
        self.depthwise = nn.Conv2d(wide, wide, shape.kernel, shape.stride, groups=wide)
        self.project = nn.Conv2d(wide, shape.leaving, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, entering, H, W) to (B, leaving, H / stride, W / stride)."""
        wide = x if self.expand is None else functional.relu6(self.expand(x))
        wide = functional.relu6(self.depthwise(_pad(wide, self.shape.kernel, self.shape.stride)))
        out: Tensor = self.project(wide)
        kept = self.shape.stride == 1 and self.shape.entering == self.shape.leaving
        return out + x if kept else out


class LiteEncoder(nn.Module):
    """Picture in, a map for the stem and one for each of the first `sizes` sizes out."""

    def __init__(self, sizes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM_WIDTH, 3, 2)
        self.blocks = nn.ModuleList(map(InvertedBottleneck, BLOCKS[: LAST_OF_SIZE[sizes - 1] + 1]))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return maps of `WIDTHS` channels, at 1/2, 1/2, 1/4 and so on, of pictures (B, 3, H, W) in [-1, 1].

        The sides must be multiples of the last map's share.
        """
        x = functional.relu6(self.stem(_pad(pixels, 3, 2)))
        maps = [x]
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in LAST_OF_SIZE:
                maps.append(x)
        return maps


class MapScale(nn.Module):
    """Brings a map's channels to about zero mean and unit variance, by what was measured before training."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def measure(self, features: Tensor) -> None:
        """Set it by maps (B, C, h, w). A channel that is nearly silent there is not raised."""
        self.mean.copy_(features.mean((0, 2, 3)))
        self.deviation.copy_(features.std((0, 2, 3)).clamp(min=LEAST_DEVIATION))

    def forward(self, x: Tensor) -> Tensor:
        """Return the map (B, C, h, w), scaled."""
        return (x - self.mean[:, None, None]) / self.deviation[:, None, None]


def _pad(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad so that a convolution gives 1 / stride of the sides, the odd row and column below and on the right."""
    before, whole = (kernel - stride) // 2, kernel - stride
    return functional.pad(x, (before, whole - before, before, whole - before))
