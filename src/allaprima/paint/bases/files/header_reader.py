"""Reading what a weight file says it holds, before any weight is read.

    header = read_header(Path("qwen-image-2512-Q4_K_M.gguf"))
    header.tensors["img_in.weight"].shape

The format is told from the file's first bytes, never from its ending. A file is not trusted: what is absurd (too many
tensors, sizes that do not follow from shapes, tensors that overlap or lie outside the file) is refused in a sentence,
within bounded memory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BufferedReader
from pathlib import Path

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.gguf_header import MAGIC, parse_gguf
from allaprima.paint.bases.files.header import FileHeader
from allaprima.paint.bases.files.safetensors_header import parse_safetensors

MAX_KEPT = 64
LARGE_BYTES = 64 << 20
"""Headers of files from here on are kept: they are long, and a base is looked for several times before it loads."""


def read_header(path: Path) -> FileHeader:
    """Return what the file at `path` says it holds, reading no tensor.

    Raises:
        WeightsError: it cannot be read, is of another format, cut short, or announces what no file holds.
    """
    with _opened(path) as (file, status):
        if status.st_size >= LARGE_BYTES:
            return _read_large(path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        return _parse(path, file, status.st_size)


@lru_cache(maxsize=MAX_KEPT)
def _read_large(path: Path, *identity: int) -> FileHeader:
    """Return the header of a file that stays the same as long as its `identity` does."""
    del identity
    with _opened(path) as (file, status):
        return _parse(path, file, status.st_size)


def _parse(path: Path, file: BufferedReader, file_bytes: int) -> FileHeader:
    parse = parse_gguf if file.peek(4)[:4] == MAGIC else parse_safetensors
    return parse(path, file, file_bytes)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BufferedReader, os.stat_result]]:
    """Open the file at `path` and yield it with its status."""
    try:
        # A pipe would keep us waiting for whoever writes into it.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise WeightsError(f"{path} is no ordinary file; expected a .safetensors or .gguf file")
            yield file, status
    except (OSError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise WeightsError(f"cannot read {path}: {reason}; expected a weight file") from error
