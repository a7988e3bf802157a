"""The header of a GGUF file: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md .

The `gguf` package gives the formats and their sizes. Its reader is not used: it believes every count in the file, so
that forty bytes can ask for all memory, and takes seconds for the vocabulary of a text encoder.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.header import (
    FETCH_AGAIN,
    MAX_TENSORS,
    FileHeader,
    StoredTensor,
    check_extents,
    check_shape,
)

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_FIELDS = 65_536
"""Shapes that GGUF cannot hold are fields, one a tensor; a text encoder has some forty."""

MAX_NAME_BYTES = 1024
MAX_WORD_BYTES = 4 << 20
"""A chat template has thousands."""

MAX_ARRAY = 1 << 20
"""Entries of an array; Gemma's vocabulary has 262,144."""

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Value types that are numbers, as struct writes them."""
_WORD, _ARRAY = 8, 9
_ORIGINAL_SHAPE = "comfy.gguf.orig_shape."
"""Where ComfyUI's converter keeps a shape of more than four sides, or one whose rows fill no blocks."""


@dataclass(frozen=True, kw_only=True)
class GgufArray:
    """An array in the metadata, which is read from the file when it is asked for."""

    path: Path
    kind: int
    count: int
    begin: int
    """In bytes from the beginning of the file."""

    def read(self) -> list[Any]:
        """Return the entries: numbers or words."""
        with self.path.open("rb") as file:
            file.seek(self.begin)
            if self.kind != _WORD:
                form = struct.Struct(f"<{self.count}{_NUMBERS[self.kind]}")
                return list(form.unpack(file.read(form.size)))
            lengths = (int.from_bytes(file.read(8), "little") for _ in range(self.count))
            return [file.read(length).decode("utf-8", "replace") for length in lengths]


def parse_gguf(path: Path, file: BufferedReader, file_bytes: int) -> FileHeader:
    """Return the header of `file`, which is `path` opened."""
    with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        cursor = _Cursor(path, data)
        cursor.skip(len(MAGIC))
        version, num_tensors, num_fields = cursor.numbers("IQQ")
        if version not in VERSIONS:
            raise WeightsError(
                f"{path} is a GGUF of version {version}; expected version 2 or 3, little-endian"
            )
        if num_tensors > MAX_TENSORS or num_fields > MAX_FIELDS:
            raise WeightsError(
                f"{path} announces {num_tensors:,} tensors and {num_fields:,} fields; expected at most "
                f"{MAX_TENSORS:,} and {MAX_FIELDS:,}"
            )
        metadata = dict(_unique(path, (_read_field(cursor) for _ in range(num_fields))))
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment not in (1 << power for power in range(3, 21)):
            raise WeightsError(f"{path} has the alignment {alignment!r:.40}; expected 32")
        tensors = dict(_unique(path, (_read_tensor(cursor, metadata) for _ in range(num_tensors))))
        data_begin = -(-cursor.at // alignment) * alignment
    if any(tensor.begin % alignment for tensor in tensors.values()):
        raise WeightsError(f"{path} has tensors that lie off its alignment of {alignment}; {FETCH_AGAIN}")
    check_extents(path, tensors, max(0, file_bytes - data_begin))
    return FileHeader(
        path=path, container="gguf", tensors=tensors, metadata=metadata, data_begin=data_begin, file_bytes=file_bytes
    )  # fmt: skip


class _Cursor:
    """A place in the mapped file that moves on with what is read."""

    def __init__(self, path: Path, data: mmap) -> None:
        self.path, self.data, self.at = path, data, 0

    def skip(self, num_bytes: int) -> None:
        """Move on, but never beyond the file."""
        if num_bytes > len(self.data) - self.at:
            raise WeightsError(f"{self.path} ends within its header; {FETCH_AGAIN}")
        self.at += num_bytes

    def numbers(self, form: str) -> tuple[Any, ...]:
        """Return little-endian numbers, as struct writes them, and move on."""
        begin, form = self.at, f"<{form}"
        self.skip(struct.calcsize(form))
        return struct.unpack_from(form, self.data, begin)

    def word(self, most: int) -> str:
        """Return a word of at most so many bytes and move on."""
        (length,) = self.numbers("Q")
        if length > most:
            raise WeightsError(f"{self.path} has a word of {length:,} bytes; expected at most {most:,}")
        begin = self.at
        self.skip(length)
        return self.data[begin : self.at].decode("utf-8", "replace")


def _read_field(cursor: _Cursor) -> tuple[str, Any]:
    name = cursor.word(MAX_NAME_BYTES)
    (kind,) = cursor.numbers("I")
    if kind == _WORD:
        return name, cursor.word(MAX_WORD_BYTES)
    if kind == _ARRAY:
        return name, _read_array(cursor)
    if kind not in _NUMBERS:
        raise WeightsError(f"{cursor.path}: the field {name[:100]!r} is of type {kind}; expected 0 to 12")
    return name, cursor.numbers(_NUMBERS[kind])[0]


def _read_array(cursor: _Cursor) -> GgufArray:
    """Return where an array lies, and move on behind it."""
    kind, count = cursor.numbers("IQ")
    if kind != _WORD and kind not in _NUMBERS:
        raise WeightsError(f"{cursor.path} has an array of type {kind}; expected numbers or words")
    if count > MAX_ARRAY:
        raise WeightsError(f"{cursor.path} has an array of {count:,}; expected at most {MAX_ARRAY:,}")
    begin = cursor.at
    if kind != _WORD:
        cursor.skip(count * struct.calcsize(f"<{_NUMBERS[kind]}"))
    else:
        for _ in range(count):
            (length,) = cursor.numbers("Q")
            cursor.skip(length)
    return GgufArray(path=cursor.path, kind=kind, count=count, begin=begin)


def _read_tensor(cursor: _Cursor, metadata: Mapping[str, Any]) -> tuple[str, StoredTensor]:
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    path, name = cursor.path, cursor.word(MAX_NAME_BYTES)
    (num_sides,) = cursor.numbers("I")
    if num_sides > 4:
        raise WeightsError(f"{path}: {name[:100]!r} has {num_sides:,} sides; expected at most 4")
    *sides, kind, begin = cursor.numbers(f"{num_sides}QIQ")
    try:
        form = GGMLQuantizationType(kind)
        block, block_bytes = GGML_QUANT_SIZES[form]
    except (ValueError, KeyError):
        raise WeightsError(f"{path}: {name[:100]!r} is of type {kind}; expected one of GGUF's") from None
    stored = check_shape(path, name, reversed(sides))
    if math.prod(stored[-1:]) % block:
        raise WeightsError(
            f"{path}: {name[:100]!r} has rows of {stored[-1]:,}; expected whole blocks of {block} for {form.name}"
        )
    shape = _original_shape(path, name, stored, metadata)
    return name, StoredTensor(form.name, shape, begin, begin + math.prod(stored) // block * block_bytes)


def _original_shape(
    path: Path, name: str, stored: tuple[int, ...], metadata: Mapping[str, Any]
) -> tuple[int, ...]:
    noted = metadata.get(f"{_ORIGINAL_SHAPE}{name}")
    if noted is None:
        return stored
    sides = noted.read() if isinstance(noted, GgufArray) and noted.count <= 8 else [-1]
    shape = check_shape(path, name, sides)
    if math.prod(shape) != math.prod(stored):
        raise WeightsError(
            f"{path}: {name[:100]!r} is noted with the shape {list(shape)} and stored with {list(stored)}; expected "
            "as many numbers"
        )
    return shape


def _unique(path: Path, pairs: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield `pairs`, refusing a name that comes twice."""
    seen: set[str] = set()
    for name, value in pairs:
        if name in seen:
            raise WeightsError(f"{path} names {name[:100]!r} twice; expected every name once")
        seen.add(name)
        yield name, value
