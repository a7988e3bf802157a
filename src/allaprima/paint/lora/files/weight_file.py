"""A whole safetensors file in memory, checked.

The file is read into memory once, and both the tensors and the digest come from those bytes. A mapped file, as
safetensors' own reader makes it, would change under a model that paints, or kill the process, when somebody writes
over it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path

import torch
from torch import Tensor

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.header import Header, LayoutCache, opened, parse_header

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I64": torch.int64, "I32": torch.int32,
}  # fmt: skip

_ALIGNMENT = 64
"""Bytes; where the tensors begin in memory."""

_PIECE = 1 << 18
"""Bytes read at a time; they fit into a processor's cache."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightFile:
    """A whole file in memory."""

    header: Header
    """What the file says it holds."""
    tensors: dict[str, Tensor]
    """The tensors by key, views of few buffers; all finite."""
    largest: float
    """The largest magnitude in all tensors."""
    content: Tensor
    """The file's bytes."""

    @cached_property
    def peaks(self) -> dict[str, float]:
        """The largest magnitude in each tensor."""
        return {name: _peak(tensor) for name, tensor in self.tensors.items()}

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the file, computed when it is first asked for: painting needs none."""
        return hashlib.sha256(memoryview(self.content.numpy().data)).hexdigest()


def read_weight_file(
    path: Path, *, layouts: LayoutCache | None = None, allocate: Callable[[int], Tensor] | None = None
) -> WeightFile:
    """Return the file at `path`, whole, all its numbers finite; whether they make sense is not checked yet.

    Args:
        allocate: returns so many bytes of memory as uint8; by default new memory.
    """
    with opened(path) as (file, file_bytes):
        header = parse_header(path, file, file_bytes, layouts)
        content = _allocate(path, header, allocate or _new_bytes)
        if _fill(content, file) != file_bytes or file.read(1):
            raise LoraError(f"{path} changed while it was read; expected a finished file, try again")
    tensors: dict[str, Tensor] = {}
    largest = 0.0
    data = content[header.data_begin :]
    for run in header.layout.runs:
        flat = _flat(data[run[0][1].begin : run[-1][1].end], _DTYPES[run[0][1].dtype])
        pieces = torch.split(flat, [entry.size for _, entry in run])
        views = {name: piece.view(entry.shape) for (name, entry), piece in zip(run, pieces, strict=True)}
        peak = _peak(flat)
        if not math.isfinite(peak):
            raise LoraError(_not_finite(path, views))
        largest = max(largest, peak)
        tensors |= views
    return WeightFile(header=header, tensors=tensors, largest=largest, content=content)


def _new_bytes(num_bytes: int) -> Tensor:
    return torch.empty(num_bytes, dtype=torch.uint8)


def _allocate(path: Path, header: Header, allocate: Callable[[int], Tensor]) -> Tensor:
    """Return memory for the file, such that its tensors begin at a multiple of the alignment."""
    try:
        memory = allocate(header.file_bytes + _ALIGNMENT)
    except (RuntimeError, MemoryError) as error:
        raise LoraError(
            f"{path} needs {header.file_bytes} bytes of memory, expected less than are free"
        ) from error
    begin = -(memory.data_ptr() + header.data_begin) % _ALIGNMENT
    return memory[begin : begin + header.file_bytes]


def _fill(content: Tensor, file: FileIO) -> int:
    """Read `file` into `content`, bytes, from its beginning; return how many there were."""
    file.seek(0)
    view = memoryview(content.numpy().data)
    # Through a buffer that is aligned as the file is: some systems copy six times slower to memory that is not, and
    # here the tensors are aligned instead.
    piece = memoryview(torch.empty(_PIECE, dtype=torch.uint8).numpy().data)
    filled = 0
    while filled < len(view) and (count := file.readinto(piece[: len(view) - filled])):
        view[filled : filled + count] = piece[:count]
        filled += count
    return filled


def _flat(data: Tensor, dtype: torch.dtype) -> Tensor:
    """Return bytes as numbers; float64 becomes float32 and float8 bf16, in which models compute."""
    if data.storage_offset() % dtype.itemsize:
        data = data.clone()
    flat = data.view(dtype)
    if dtype is torch.float64:
        return flat.float()
    return flat.to(torch.bfloat16) if dtype.itemsize == 1 else flat


def _peak(tensor: Tensor) -> float:
    """Return the largest magnitude; NaN if there is a NaN."""
    low, high = torch.aminmax(tensor)  # one pass, and NaN comes out of it as NaN
    return max(abs(float(low)), abs(float(high)))


def _not_finite(path: Path, tensors: dict[str, Tensor]) -> str:
    name = next(name for name, tensor in tensors.items() if not math.isfinite(_peak(tensor)))
    return (
        f"{path}: {name[:200]!r} holds NaN or infinity; expected finite numbers: "
        "its training diverged or the file is damaged"
    )
