"""The header of a safetensors file: what the file says it holds, checked before any tensor is read.

It is parsed here, and not by safetensors, so that its size, its duplicate keys and its dtypes are checked. Format:
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from allaprima.core.errors import LoraError
from allaprima.core.lru import LruCache
from allaprima.core.picture_kinds import HEAD_BYTES, describe

MAX_HEADER_BYTES = 32 << 20
"""Twenty thousand tensors need three of these MiB; tag statistics of a long training a few more."""

MAX_FILE_BYTES = 8 << 30
"""Rank 64 on every layer of Qwen-Image takes 1.2 GB in bf16."""

MAX_DIMENSIONS = 8

ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4}
"""The bytes of one number in each dtype that a LoRA may be stored in, as safetensors names it."""

_INTEGERS = {"I64", "I32"}
"""For alphas alone."""

_OTHER_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "U32": 4, "U64": 8, "F8_E8M0": 1, "C64": 8,
}  # fmt: skip
"""The bytes of one number in the other dtypes of safetensors, which no layer of a LoRA may have."""

_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

MAX_LAYOUTS = 8
MAX_CACHED_CHARS = 1 << 20
"""The characters of a header whose layout is cached; a header of 2,000 tensors has 300,000."""


class TensorEntry(NamedTuple):
    """One tensor as the header announces it."""

    dtype: str
    """One of `ITEM_BYTES`."""
    shape: tuple[int, ...]
    begin: int
    """In bytes from the end of the header."""
    end: int
    """In bytes from the end of the header."""

    @property
    def size(self) -> int:
        """The number of its numbers."""
        return math.prod(self.shape)

    @property
    def complaint(self) -> str:
        """Why no layer can be made of it, or nothing; what belongs to no layer may be of any kind."""
        if self.dtype not in ITEM_BYTES:
            return f"has dtype {self.dtype!r}; expected one of {', '.join(ITEM_BYTES)}"
        if not self.size:
            return f"has shape {list(self.shape)}; expected at least one number"
        if self.size > 1 and self.dtype in _INTEGERS:
            return (
                f"has dtype {self.dtype} and shape {list(self.shape)}; expected integers for an alpha alone"
            )
        return ""


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorLayout:
    """What lies where in a file; files that one program wrote for one base mostly have the same."""

    entries: dict[str, TensorEntry]
    """The tensors by key, side by side in the file."""
    num_bytes: int
    """The bytes of all tensors."""

    @cached_property
    def runs(self) -> tuple[tuple[tuple[str, TensorEntry], ...], ...]:
        """The entries of which layers can be made, as they lie, neighbours of one dtype together."""
        lying = sorted(self.entries.items(), key=lambda item: (item[1].begin, item[1].end))
        runs = groupby(lying, key=lambda item: (item[1].dtype, not item[1].complaint))
        return tuple(tuple(run) for (_, usable), run in runs if usable)


@dataclass(frozen=True, kw_only=True)
class Header:
    """What the file says it holds."""

    layout: TensorLayout
    metadata: dict[str, str]
    data_begin: int
    file_bytes: int


LayoutCache = LruCache[str, TensorLayout]
"""Layouts by the text that announces them, which need not be parsed and checked again.

The metadata, which differ between files of one layout, are no part of that text where they come first, as safetensors
writes them.
"""


def read_header(path: Path) -> Header:
    """Return what the file at `path` says it holds, reading no tensor.

    Raises:
        LoraError: it cannot be read, is no safetensors file, is cut short, or announces what no LoRA holds.
    """
    with opened(path) as (file, file_bytes):
        return parse_header(path, file, file_bytes)


@contextmanager
def opened(path: Path) -> Iterator[tuple[FileIO, int]]:
    """Open the file at `path` and yield it with its size in bytes."""
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
        raise LoraError(f"cannot read {str(path)!r}: {reason}; expected a LoRA file") from error


def parse_header(path: Path, file: FileIO, file_bytes: int, layouts: LayoutCache | None = None) -> Header:
    """Return the header of `file`, which is `path` opened; its layout is taken from `layouts`, or put there."""
    start = file.read(9)
    if is_pickle(start, file_bytes):
        raise LoraError(pickle_refusal(path))
    length = int.from_bytes(start[:8], "little")
    if not 2 <= length <= file_bytes - 8:
        what = describe(start + file.read(HEAD_BYTES))
        if what in ("text", "no picture"):
            what = f"cut short or no safetensors file: {file_bytes} bytes"
        raise LoraError(f"{path} is {what}; {_WHOLE}")
    if length > MAX_HEADER_BYTES:
        raise LoraError(f"{path} has a header of {length} bytes; expected at most {MAX_HEADER_BYTES}")
    data_bytes = file_bytes - 8 - length
    try:
        metadata, layout = _read_text(path, start[8:] + file.read(length - 1), layouts)
    except (ValueError, RecursionError) as error:
        if isinstance(error, LoraError):
            raise
        raise LoraError(f"{path} has a header that is no JSON; {_WHOLE}") from error
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise LoraError(f"{path} has metadata that are not words; expected a JSON object of strings")
    if layout.num_bytes != data_bytes:
        raise LoraError(
            f"{path} holds {data_bytes} bytes of tensors, its header says {layout.num_bytes}; {_WHOLE}"
        )
    return Header(layout=layout, metadata=metadata, data_begin=8 + length, file_bytes=file_bytes)


def _read_text(path: Path, written: bytes, layouts: LayoutCache | None) -> tuple[Any, TensorLayout]:
    """Return the metadata, not yet checked, and the layout that a header announces."""
    first = written.startswith(_METADATA_FIRST)
    try:
        metadata, text = _split(written.decode("utf-8", "surrogatepass"), metadata_first=first)
        if layouts is not None and (cached := layouts.find(text)):
            return metadata, cached
        announced = json.loads(written, object_pairs_hook=_without_duplicates)
    except LoraError as error:
        raise LoraError(f"{path} {error}; expected every key once") from error
    if not isinstance(announced, dict):
        raise LoraError(f"{path} has a header that is no JSON object; {_WHOLE}")
    cacheable = len(text) <= MAX_CACHED_CHARS and (first or _KEY not in announced)
    metadata = announced.pop(_KEY, {})
    entries = _entries(path, announced)
    layout = TensorLayout(entries=entries, num_bytes=_check_layout(path, entries))
    if layouts is not None and cacheable:
        layouts.put(text, layout)
    return metadata, layout


def _split(text: str, *, metadata_first: bool) -> tuple[Any, str]:
    """Return the metadata and what follows them, which two headers of one layout have in common."""
    metadata, end = _DECODER.raw_decode(text, len(_METADATA_FIRST) - 1) if metadata_first else ({}, 0)
    # Blanks fill a header up to a multiple of 8 bytes, and say nothing.
    return metadata, text[end:].rstrip(" ")


_KEY = "__metadata__"
_METADATA_FIRST = b'{"__metadata__":{'
_WHOLE = "expected a whole .safetensors file, fetch it again"


def is_pickle(start: bytes, file_bytes: int) -> bool:
    """Return whether a file is a pickle by its first nine bytes, whatever its name is.

    Two bytes are not enough: the length that begins a safetensors file may read like a pickle, for example 640.
    """
    plausible = 2 <= int.from_bytes(start[:8], "little") <= min(file_bytes - 8, MAX_HEADER_BYTES)
    return start.startswith(_PICKLES) and not (plausible and start[8:9] == b"{")


def pickle_refusal(path: Path) -> str:
    """Return the sentence that refuses a pickle and says how to have it converted."""
    in_place = " --overwrite" if path.suffix.lower() == ".safetensors" else ""
    return (
        f"{path} is a pickle, which can run programs when it is read; expected .safetensors: "
        f"convert it with prima lora convert {path}{in_place}"
    )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    announced = dict(pairs)
    if len(announced) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise LoraError(f"names {twice[:200]!r} twice")
    return announced


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates)


def _entries(path: Path, announced: dict[str, Any]) -> dict[str, TensorEntry]:
    forms: dict[str, TensorEntry] = {}  # as they are written, since to Python 1, 1.0 and True are one key
    entries = {}
    for name, entry in announced.items():
        try:
            form, (begin, end) = f"{entry['dtype']!r} {entry['shape']!r}", entry["data_offsets"]
            like = forms[form]
            known = len(entry) == len(_FIELDS) and type(begin) is int is type(end) and 0 <= begin < _LARGEST
        except (KeyError, TypeError, ValueError):
            known = False
        try:
            if known and end - begin == like.end - like.begin:
                entries[name] = TensorEntry(like.dtype, like.shape, begin, end)
            else:
                entries[name] = forms[form] = _checked(entry)
        except ValueError as error:
            raise LoraError(f"{path}: {name[:200]!r} {error}") from error
    return entries


def _checked(entry: Any) -> TensorEntry:
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        raise ValueError(f"is described by {str(entry)[:80]}; expected dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    sizes = ITEM_BYTES | _OTHER_BYTES
    if not isinstance(dtype, str) or dtype not in sizes:
        raise ValueError(f"has dtype {dtype!r:.40}; expected one of {', '.join(ITEM_BYTES)}")
    if not _are_counts(shape, MAX_DIMENSIONS) or not _are_counts(offsets, 2) or len(offsets) != 2:
        raise ValueError(
            f"has shape {str(shape)[:80]} at {str(offsets)[:80]}; expected lists of whole numbers"
        )
    size, (begin, end) = math.prod(shape), offsets
    if size * sizes[dtype] != end - begin:
        raise ValueError(f"has shape {shape} as {dtype} in {end - begin} bytes; {_WHOLE}")
    return TensorEntry(dtype, tuple(shape), begin, end)


_FIELDS = {"dtype", "shape", "data_offsets"}


def _are_counts(value: Any, longest: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= longest
        and all(type(count) is int and 0 <= count < _LARGEST for count in value)
    )


_LARGEST = 1 << 40


def _check_layout(path: Path, entries: dict[str, TensorEntry]) -> int:
    """Refuse tensors that overlap or leave gaps; return where the last one ends."""
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != at:
            raise LoraError(f"{path}: {name[:200]!r} begins at byte {entry.begin}, expected {at}; {_WHOLE}")
        at = entry.end
    return at
