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
from io import BufferedReader
from pathlib import Path

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.gguf_header import MAGIC, parse_gguf
from allaprima.paint.bases.files.header import FileHeader
from allaprima.paint.bases.files.safetensors_header import parse_safetensors


def read_header(path: Path) -> FileHeader:
    """Return what the file at `path` says it holds, reading no tensor.

    Raises:
        WeightsError: it cannot be read, is of another format, cut short, or announces what no file holds.
    """
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
