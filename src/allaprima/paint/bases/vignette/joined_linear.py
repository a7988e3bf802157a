"""Layers with the same input, computed as one larger layer where their weights are adjacent in memory.

A small product does not keep two threads busy; three of them in one do. Each layer stays itself: a LoRA merged into
its weight is in the larger one too, and a LoRA beside it adds its own part.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from allaprima.paint.bases.vignette.weight_marks import have_hooks


def lay_side_by_side(layers: Sequence[nn.Linear]) -> None:
    """Move the weights (out, in) and the biases of layers of one shape into adjacent memory."""
    for name in ("weight", "bias"):
        parameters = [getattr(layer, name) for layer in layers]
        whole = torch.cat([parameter.data for parameter in parameters])
        for parameter, part in zip(parameters, whole.chunk(len(layers)), strict=True):
            parameter.data = part


def as_one(layers: Sequence[nn.Linear]) -> tuple[Tensor, Tensor] | None:
    """Return one weight (sum of outs, in) and bias of all `layers`; None if not adjacent, or if one has a hook."""
    if have_hooks(layers):
        return None
    weight = _whole([layer.weight for layer in layers])
    bias = _whole([layer.bias for layer in layers])
    return None if weight is None or bias is None else (weight, bias)


def _whole(parts: Sequence[Tensor]) -> Tensor | None:
    first = parts[0]
    if first.storage_offset() or first.untyped_storage().nbytes() != len(parts) * first.nbytes:
        return None
    start, step = first.data_ptr(), first.nbytes
    if any(part.data_ptr() != start + index * step for index, part in enumerate(parts)):
        return None
    return first.detach().as_strided((len(parts) * len(first), *first.shape[1:]), first.stride())
