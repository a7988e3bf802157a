"""What a weight file says it holds, checked before any weight is read.

    header = read_header(Path("qwen-image-2512-Q4_K_M.gguf"))
    header.tensors["img_in.weight"].shape

The format is told from the file's first bytes, never from its ending. A file is not trusted: what is absurd (too many
tensors, sizes that do not follow from shapes, tensors that overlap or lie outside the file) is refused in a sentence,
within bounded memory.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal, NamedTuple

from allaprima.core.errors import WeightsError

MAX_TENSORS = 100_000
"""Wan 2.2 with a scale and a note for every layer has 4,000."""

MAX_DIMENSIONS = 8
MAX_NUMBERS = 1 << 40
"""The numbers of one tensor; the largest layer of any model here has half a billion."""

FETCH_AGAIN = "expected a whole .safetensors or .gguf file, fetch it again"


class StoredTensor(NamedTuple):
    """One tensor as the header announces it."""

    dtype: str
    """Its number format as the file calls it, such as BF16, F8_E4M3 or Q4_K."""
    shape: tuple[int, ...]
    """The shape in torch's order, of the numbers that the bytes stand for."""
    begin: int
    """In bytes from the end of the header."""
    end: int
    """In bytes from the end of the header."""

    @property
    def num_numbers(self) -> int:
        """How many numbers it stands for."""
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        """How many bytes of the file it takes."""
        return self.end - self.begin


@dataclass(frozen=True, kw_only=True)
class FileHeader:
    """What a file says it holds."""

    path: Path
    container: Literal["safetensors", "gguf"]
    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, Any]
    """Of a safetensors file words by words; of a GGUF file numbers, words, and arrays as `GgufArray`."""
    data_begin: int
    """Where the first tensor may lie, in bytes from the beginning of the file."""
    file_bytes: int = field(default=0)

    def starts_with(self, *beginnings: str) -> bool:
        """Return whether a tensor's name starts with one of `beginnings`."""
        return any(name.startswith(beginnings) for name in self.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the tensor called `name`; () if there is none."""
        return self.tensors[name].shape if name in self.tensors else ()


def read_header(path: Path) -> FileHeader:
    """Return what the file at `path` says it holds, reading no tensor.

    Raises:
        WeightsError: it cannot be read, is of another format, cut short, or announces what no file holds.
    """
    from allaprima.paint.bases.files.gguf_header import MAGIC, parse_gguf
    from allaprima.paint.bases.files.safetensors_header import parse_safetensors

    with _opened(path) as (file, file_bytes):
        parse = parse_gguf if file.peek(4)[:4] == MAGIC else parse_safetensors
        return parse(path, file, file_bytes)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BufferedReader, int]]:
    """Open the file at `path` and yield it with its size in bytes."""
    try:
        # A pipe would keep us waiting for whoever writes into it.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise WeightsError(f"{path} is no ordinary file; expected a .safetensors or .gguf file")
            yield file, status.st_size
    except (OSError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise WeightsError(f"cannot read {path}: {reason}; expected a weight file") from error


def check_shape(path: Path, name: str, shape: Iterable[object]) -> tuple[int, ...]:
    """Return a shape that a tensor can have."""
    sides = tuple(shape)
    whole = all(type(side) is int and side >= 0 for side in sides)
    if not whole or len(sides) > MAX_DIMENSIONS or math.prod(sides) > MAX_NUMBERS:  # type: ignore[arg-type]
        raise WeightsError(
            f"{path}: {name[:100]!r} has the shape {str(list(sides))[:60]}; expected at most {MAX_DIMENSIONS} whole "
            "numbers, as large as a model's"
        )
    return sides  # type: ignore[return-value]  # checked above


def check_extents(path: Path, tensors: Mapping[str, StoredTensor], data_bytes: int) -> int:
    """Refuse tensors that lie outside the file or share bytes; return where the last one ends."""
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin < end:
            raise WeightsError(f"{path}: {name[:100]!r} shares bytes with another tensor; {FETCH_AGAIN}")
        if tensor.end > data_bytes:
            raise WeightsError(
                f"{path} is cut short: {name[:100]!r} ends at byte {tensor.end:,} of {data_bytes:,} that are there; "
                f"{FETCH_AGAIN}"
            )
        end = tensor.end
    return end
