"""Parts of a tensor of a file, announced or stored: rows of a fused layer, and a 1x1 convolution as a matrix.

q, k, v = split_rows(weights["layers.0.attention.qkv.weight"], 3)
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.header import StoredTensor
from allaprima.paint.quantization.stored import StoredWeight

T = TypeVar("T", StoredTensor, StoredWeight)
Stretch = tuple[int, int]
"""Rows, from and up to."""


def split_rows(tensor: T, count: int) -> list[T]:
    """Return `count` tensors that share the rows of one; WeightsError if the rows cannot be shared evenly."""
    size = _share(tensor, count)
    return [take_rows(tensor, (part * size, (part + 1) * size)) for part in range(count)]


def swap_halves(tensor: T) -> T:
    """Return a tensor with the second half of its rows before the first."""
    half = _share(tensor, 2)
    return take_rows(tensor, (half, 2 * half), (0, half))


def take_rows(tensor: T, *stretches: Stretch) -> T:
    """Return some rows of a tensor, in the order in which they are named; quantised ones stay so."""
    shape = (sum(end - begin for begin, end in stretches), *tensor.shape[1:])
    if isinstance(tensor, StoredTensor):
        return tensor._replace(shape=shape)
    rows = tensor.shape[0]
    # Of blocks and of plain numbers alike, each row takes as many items as any other.
    items = tensor.data.reshape(rows, -1)
    scale = tensor.scale
    if scale is not None and scale.numel() > 1:
        scale = _join(scale.reshape(rows, -1), stretches)
    data = _join(items, stretches)
    is_whole = tuple(tensor.data.shape) == tensor.shape
    return StoredWeight(
        data=data.reshape(shape) if is_whole else data.reshape(-1),
        format=tensor.format,
        shape=shape,
        scale=scale,
    )


def as_matrix(tensor: T) -> T:
    """Return the weight (out, in, 1, 1) of a convolution as that of a linear layer; any other as it is."""
    shape = tensor.shape
    if len(shape) != 4 or shape[2:] != (1, 1):
        return tensor
    if isinstance(tensor, StoredTensor):
        return tensor._replace(shape=shape[:2])
    data = tensor.data
    is_whole = tuple(data.shape) == shape
    return StoredWeight(
        data=data.reshape(shape[:2]) if is_whole else data,
        format=tensor.format,
        shape=shape[:2],
        scale=tensor.scale,
    )


def _join(items: Tensor, stretches: tuple[Stretch, ...]) -> Tensor:
    parts = [items[begin:end] for begin, end in stretches]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _share(tensor: T, count: int) -> int:
    rows = tensor.shape[0] if tensor.shape else 0
    if rows == 0 or rows % count:
        raise WeightsError(
            f"got a fused weight of shape {list(tensor.shape)}; expected rows for {count} layers"
        )
    return rows // count
