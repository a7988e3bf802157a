"""What a weight file says it holds, and the checks that the headers of all formats share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
