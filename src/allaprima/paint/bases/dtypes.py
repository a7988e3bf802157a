"""What a network computes in, asked for at every step."""

from __future__ import annotations

import torch
from torch import nn


def dtype_of(network: nn.Module) -> torch.dtype:
    """Return the number format of the first floating weight of `network`, a model of diffusers.

    The model's own `dtype` first asks every module for hooks: a tenth of a step of a tiny SDXL, and work that a GPU
    waits for. Where the weights are stored in eight bits, it alone knows.
    """
    first = next((one.dtype for one in network.parameters() if one.is_floating_point()), None)
    if first is not None and first.itemsize > 1:
        return first
    told: torch.dtype = network.dtype  # type: ignore[assignment]  # nn.Module's attributes are of any type
    return told
