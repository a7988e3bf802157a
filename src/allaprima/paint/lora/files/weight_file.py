"""A safetensors file, whole and distrusted: nothing of it is believed before it has been checked.

The file is read into memory once, and both the tensors and the digest come from those bytes. A mapped file, as
safetensors' own reader makes it, would change under a painting model, or kill the process, when somebody writes
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
from allaprima.paint.lora.files.header import Header, KnownLayouts, TensorEntry, opened, parse_header

_ALIGNMENT = 64
"""Bytes; where the tensors begin in memory."""

_PIECE = 1 << 18
"""Bytes read at a time; a processor keeps so many at hand."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightFile:
    """A whole file in memory.

    Attributes:
        header: what it says it holds.
        tensors: by key, views of few buffers; all finite.
        largest: no number of them is larger in magnitude.
        content: the file's bytes.
    """

    header: Header
    tensors: dict[str, Tensor]
    largest: float
    content: Tensor

    @cached_property
    def peaks(self) -> dict[str, float]:
        """The largest magnitude in each tensor."""
        return {name: _peak(tensor) for name, tensor in self.tensors.items()}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, computed when it is first asked for: painting needs none."""
        return digest_of_bytes(self.content)


def read_weight_file(
    path: Path,
    *,
    known: KnownLayouts | None = None,
    allocate: Callable[[int], Tensor] | None = None,
) -> WeightFile:
    """Return the file at `path`, whole, all its numbers finite; whether they make sense is yet to be judged.

    Args:
        path: of the file.
        known: layouts that have been judged.
        allocate: gives so many bytes of memory, uint8; by default fresh ones.

    Raises:
        LoraError: as `read_header`, the file changed meanwhile, is too large for memory, or holds NaN or infinity.
    """
    with opened(path) as (file, file_bytes):
        header = parse_header(path, file, file_bytes, known)
        content = _allocate(path, header, allocate or _fresh)
        if _fill(content, file) != file_bytes or file.read(1):
            raise LoraError(f"{path} changed while it was read; expected a finished file, try again")
    tensors: dict[str, Tensor] = {}
    largest = 0.0
    data = content[header.data_begin :]
    for run in header.layout.runs:
        flat = _flat(data[run[0][1].begin : run[-1][1].end], run[0][1].dtype)
        views = _views(flat, run)
        peak = _peak(flat)
        if not math.isfinite(peak):
            raise LoraError(_not_finite(path, views))
        largest = max(largest, peak)
        tensors |= views
    return WeightFile(header=header, tensors=tensors, largest=largest, content=content)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of the file at `path`.

    Raises:
        LoraError: it cannot be read.
    """
    with opened(path) as (file, _):
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_bytes(content: Tensor) -> str:
    """Return the SHA-256 of `content`, bytes."""
    return hashlib.sha256(memoryview(content.numpy().data)).hexdigest()


def _fresh(num_bytes: int) -> Tensor:
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
    # By way of memory that lies as the file does: many a system copies six times slower to where offsets in the
    # file are not aligned, and the tensors are aligned here instead.
    piece = memoryview(torch.empty(_PIECE, dtype=torch.uint8).numpy().data)
    filled = 0
    while filled < len(view) and (count := file.readinto(piece[: len(view) - filled])):
        view[filled : filled + count] = piece[:count]
        filled += count
    return filled


def _flat(data: Tensor, dtype: torch.dtype) -> Tensor:
    """Return bytes as numbers; float32 and bf16 hold what float64 and float8 have to say to a model."""
    if data.storage_offset() % dtype.itemsize:
        data = data.clone()
    flat = data.view(dtype)
    if dtype is torch.float64:
        return flat.float()
    return flat.to(torch.bfloat16) if dtype.itemsize == 1 else flat


def _views(flat: Tensor, run: tuple[tuple[str, TensorEntry], ...]) -> dict[str, Tensor]:
    pieces = torch.split(flat, [(entry.end - entry.begin) // entry.dtype.itemsize for _, entry in run])
    return {name: piece.view(entry.shape) for (name, entry), piece in zip(run, pieces, strict=True)}


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
