"""The conversion of many matrices to another dtype at once: those of one file are one long row of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from allaprima.paint.lora.pages import Blocks

_WASTE = 1.1
"""How much longer than the matrices their row may be: alphas lie between, and layers of other bases."""


def convert_together(
    tensors: Sequence[Tensor], dtype: torch.dtype, blocks: Blocks
) -> tuple[Tensor, list[Tensor]] | None:
    """Return `tensors` as `dtype`, converted in one go, and the bytes that they now lie in.

    Args:
        tensors: contiguous, in the memory that `blocks` gives.

    Returns:
        None if they do not lie in one storage, close together and in one dtype: then each is to be copied.
    """
    first = tensors[0]
    source, size = first.dtype, first.dtype.itemsize
    home = first.untyped_storage()
    lowest, highest = home.data_ptr(), home.data_ptr() + home.nbytes()
    offsets = []
    needed = 0
    for tensor in tensors:
        # Memory that lies within a living storage is that storage's.
        offset, remainder = divmod(tensor.data_ptr() - lowest, size)
        if tensor.dtype is not source or remainder or not 0 <= offset * size < highest - lowest:
            return None
        offsets.append(offset)
        needed += tensor.numel()
    begin = min(offsets)
    length = max(offset + tensor.numel() for offset, tensor in zip(offsets, tensors, strict=True)) - begin
    if length > _WASTE * needed:
        return None
    storage = blocks.take(length * dtype.itemsize)
    row = storage.view(dtype)
    row.copy_(first.detach().as_strided((length,), (1,), begin))
    return storage, [
        row.as_strided(tensor.shape, tensor.stride(), row.storage_offset() + offset - begin)
        for offset, tensor in zip(offsets, tensors, strict=True)
    ]
