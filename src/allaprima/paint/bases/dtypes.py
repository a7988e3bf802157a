"""The number format of a network, which is asked for at every step."""

from __future__ import annotations

import torch
from torch import nn


def dtype_of(network: nn.Module) -> torch.dtype:
    """Return the number format of the first floating weight of `network`, a model of diffusers.

    The model's own `dtype` first asks every module for hooks, which takes a tenth of a step of a tiny SDXL while a
    GPU waits. It is used only for weights stored in eight bits, where it alone knows.
    """
    first = next((weight.dtype for weight in network.parameters() if weight.is_floating_point()), None)
    if first is not None and first.itemsize > 1:
        return first
    dtype: torch.dtype = network.dtype  # type: ignore[assignment]  # nn.Module's attributes are of any type
    return dtype
