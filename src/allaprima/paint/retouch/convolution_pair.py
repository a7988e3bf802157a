"""Two 3x3 convolutions with a shortcut around them, which the small networks on pixels are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvolutionPair(nn.Module):
    """See the module; before training it changes little."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, a=0.1)
        nn.init.normal_(self.second.weight, std=0.01)

    def forward(self, state: Tensor) -> Tensor:
        """Return a state of the shape of `state` (B, channels, H, W)."""
        inner = functional.leaky_relu(self.first(state), 0.1)
        return torch.add(state, self.second(inner))
