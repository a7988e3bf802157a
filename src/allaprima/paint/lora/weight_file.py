"""A safetensors file, distrusted: nothing of it is believed before it has been checked.

The file is read into memory once, and both the tensors and the digest come from those bytes. A mapped file, as
safetensors' own reader makes it, would change under a painting model, or kill the process, when somebody writes
over it. The header is parsed here because its size, its duplicate keys and its dtypes are to be judged before any
tensor exists. Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from allaprima.core.errors import LoraError

MAX_HEADER_BYTES = 32 << 20
"""Twenty thousand tensors need three of these MiB; tag statistics of a long training a few more."""

MAX_FILE_BYTES = 8 << 30
"""Rank 64 on every layer of Qwen-Image takes 1.2 GB in bf16."""

MAX_DIMENSIONS = 8

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
}
"""What a LoRA may be stored as; integers are for alphas alone."""

_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


class Entry(NamedTuple):
    """One tensor as the header announces it; `begin` and `end` count from the end of the header."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Header:
    """What the file says it holds."""

    entries: dict[str, Entry]
    metadata: dict[str, str]
    data_begin: int
    file_bytes: int


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """A whole file in memory.

    Attributes:
        header: what it says it holds.
        tensors: by key, views of one buffer wherever no conversion was needed.
        peaks: the largest magnitude in each tensor.
        digest: SHA-256 of the file.
    """

    header: Header
    tensors: dict[str, Tensor]
    peaks: dict[str, float]
    digest: str


def read_header(path: Path) -> Header:
    """Return what the file at `path` says it holds, reading no tensor.

    Raises:
        LoraError: it cannot be read, is no safetensors file, is cut short, or announces what no LoRA holds.
    """
    with _opened(path) as (file, file_bytes):
        return _header(path, file, file_bytes)


def read_weight_file(path: Path) -> WeightFile:
    """Return the file at `path`, whole. Its numbers are yet to be judged.

    Raises:
        LoraError: as `read_header`.
    """
    with _opened(path) as (file, file_bytes):
        header = _header(path, file, file_bytes)
        file.seek(0)
        buffer = _allocate(path, file_bytes)
        view = memoryview(buffer.numpy().data)
        filled = 0
        while filled < file_bytes and (count := file.readinto(view[filled:])):
            filled += count
        if filled != file_bytes or file.read(1):
            raise LoraError(f"{path} changed while it was read; expected a finished file, try again")
    with ThreadPoolExecutor(max_workers=1) as beside:  # hashing lets other threads run
        digest = beside.submit(lambda: hashlib.sha256(view).hexdigest())
        data = buffer[header.data_begin :]
        tensors = {
            name: _view(data[entry.begin : entry.end], entry) for name, entry in header.entries.items()
        }
        peaks = {name: _peak(path, name, tensor) for name, tensor in tensors.items()}
        return WeightFile(header=header, tensors=tensors, peaks=peaks, digest=digest.result())


def _allocate(path: Path, num_bytes: int) -> Tensor:
    try:
        return torch.empty(num_bytes, dtype=torch.uint8)
    except (RuntimeError, MemoryError) as error:
        raise LoraError(f"{path} needs {num_bytes} bytes of memory, expected less than are free") from error


def digest_of(path: Path) -> str:
    """Return the SHA-256 of the file at `path`.

    Raises:
        LoraError: it cannot be read.
    """
    with _opened(path) as (file, _):
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[FileIO, int]]:
    try:
        # A pipe would keep us waiting for whoever writes into it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise LoraError(f"{path} is no ordinary file; expected a LoRA as a .safetensors file")
            if status.st_size > MAX_FILE_BYTES:
                raise LoraError(
                    f"{path} has {status.st_size} bytes; expected a LoRA of at most {MAX_FILE_BYTES}"
                )
            yield file, status.st_size
    except (OSError, ValueError) as error:
        if isinstance(error, LoraError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise LoraError(f"cannot read {str(path)[:200]!r}: {reason}; expected a LoRA file") from error


def _header(path: Path, file: FileIO, file_bytes: int) -> Header:
    start = file.read(8)
    if start.startswith(_PICKLES):
        raise LoraError(pickle_refusal(path))
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 2 <= length <= file_bytes - 8:
        raise LoraError(f"{path} is cut short or no safetensors file: {file_bytes} bytes; {_WHOLE}")
    if length > MAX_HEADER_BYTES:
        raise LoraError(f"{path} has a header of {length} bytes; expected at most {MAX_HEADER_BYTES}")
    try:
        announced = json.loads(file.read(length), object_pairs_hook=_without_duplicates)
    except LoraError as error:
        raise LoraError(f"{path} {error}; expected every key once") from error
    except (ValueError, RecursionError) as error:
        raise LoraError(f"{path} has a header that is no JSON; {_WHOLE}") from error
    if not isinstance(announced, dict):
        raise LoraError(f"{path} has a header that is no JSON object; {_WHOLE}")
    metadata = announced.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise LoraError(f"{path} has metadata that are not words; expected a JSON object of strings")
    entries = {name: _entry(path, name, entry) for name, entry in announced.items()}
    _check_layout(path, entries, file_bytes - 8 - length)
    return Header(entries=entries, metadata=metadata, data_begin=8 + length, file_bytes=file_bytes)


_WHOLE = "expected a whole .safetensors file, fetch it again"


def pickle_refusal(path: Path) -> str:
    """Return the sentence that refuses a pickle and says how to have it converted."""
    return (
        f"{path} is a pickle, which can run programs when it is read; expected .safetensors: "
        f"convert it with prima lora convert {path}"
    )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise LoraError(f"names {name[:200]!r} twice")
        found[name] = value
    return found


def _entry(path: Path, name: str, entry: Any) -> Entry:
    try:
        return _checked(entry)
    except ValueError as error:
        raise LoraError(f"{path}: {name[:200]!r} {error}") from error


def _checked(entry: Any) -> Entry:
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        raise ValueError(f"is described by {str(entry)[:80]}; expected dtype, shape and data_offsets")
    word, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    dtype = DTYPES.get(word) if isinstance(word, str) else None
    if dtype is None:
        raise ValueError(f"has dtype {str(word)[:40]}; expected one of {', '.join(DTYPES)}")
    if not _are_counts(shape, MAX_DIMENSIONS) or not _are_counts(offsets, 2) or len(offsets) != 2:
        raise ValueError(
            f"has shape {str(shape)[:80]} at {str(offsets)[:80]}; expected lists of whole numbers"
        )
    size, (begin, end) = math.prod(shape), offsets
    if not size:
        raise ValueError(f"has shape {shape}; expected at least one number")
    if size * dtype.itemsize != end - begin:
        raise ValueError(f"has shape {shape} as {word} in {end - begin} bytes; {_WHOLE}")
    if size > 1 and not dtype.is_floating_point:
        raise ValueError(f"has dtype {word} and shape {shape}; expected integers for an alpha alone")
    return Entry(dtype, tuple(shape), begin, end)


_FIELDS = {"dtype", "shape", "data_offsets"}


def _are_counts(value: Any, longest: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= longest
        and all(type(one) is int and 0 <= one < _LARGEST for one in value)
    )


_LARGEST = 1 << 40


def _check_layout(path: Path, entries: dict[str, Entry], data_bytes: int) -> None:
    """Make sure that the tensors lie side by side and fill the file: nothing shared, nothing hidden between."""
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].begin):
        if entry.begin != at:
            raise LoraError(f"{path}: {name[:200]!r} begins at byte {entry.begin}, expected {at}; {_WHOLE}")
        at = entry.end
    if at != data_bytes:
        raise LoraError(f"{path} holds {data_bytes} bytes of tensors, its header says {at}; {_WHOLE}")


def _view(data: Tensor, entry: Entry) -> Tensor:
    """Return the tensor; float32 and bf16 hold what float64 and float8 have to say to a model."""
    if data.storage_offset() % entry.dtype.itemsize:
        data = data.clone()
    tensor = data.view(entry.dtype).view(entry.shape)
    if tensor.dtype is torch.float64:
        return tensor.float()
    return tensor.to(torch.bfloat16) if tensor.dtype.itemsize == 1 else tensor


def _peak(path: Path, name: str, tensor: Tensor) -> float:
    low, high = torch.aminmax(tensor)  # one pass, and NaN comes out of it as NaN
    peak = max(abs(float(low)), abs(float(high)))
    if not math.isfinite(peak) or math.isnan(float(low)):
        raise LoraError(
            f"{path}: {name[:200]!r} holds NaN or infinity; expected finite numbers: "
            "its training diverged or the file is damaged"
        )
    return peak
