"""Writing a file whole or not at all.

The bytes go to a hidden file beside the target, reach the disk, and only then take the target's name.
Whatever interrupts that, a full disk or a signal, leaves no half-written file and no old file lost.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from allaprima.core.errors import OutputError

STALE_S = 3600.0
"""After so long nobody writes a piece any more."""
MAX_SLUG_CHARS = 40
MAX_SLUG_BYTES = 120  # file systems count bytes, and a Chinese character is three of them
_BINARY = getattr(os, "O_BINARY", 0)
"""Keeps Windows from changing line ends."""
_ORDINARY = _BINARY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_PIECE = re.compile(r"\.[0-9a-f]{12}\.part")


def slug(text: str) -> str:
    """Return `text` as a part of a file name: letters and digits of any script, joined by hyphens."""
    words = re.sub(r"[\W_]+", "-", text.lower()).strip("-")[:MAX_SLUG_CHARS]
    return words.encode()[:MAX_SLUG_BYTES].decode(errors="ignore").strip("-") or "picture"


def free_path(path: Path) -> Path:
    """Return `path`, or the first of `name-2`, `name-3`, ... beside it that does not exist."""
    candidate, number = path, 1
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def check_target(path: Path) -> None:
    """Make sure that a file can be written at `path`, before the work that is to fill it.

    What an interrupted write has left in the folder long ago is removed.

    Raises:
        OutputError: the folder is missing or closed to us, or `path` is something other than a file.
    """
    try:
        problem = _find_problem(path)
        if problem is None:
            remove_pieces(path.resolve().parent)
            beside = _beside(path)
            os.close(_create(beside))
            beside.unlink()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise OutputError(_cannot_write(path, error)) from error
    if problem is not None:
        raise OutputError(problem)


def make_folder(path: Path) -> None:
    """Make sure that `path` is a folder that can be written in, before the work that is to fill it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise OutputError(_cannot_write(path, error)) from error
    check_target(path / "anything")


def write_whole(path: Path, data: bytes, *, overwrite: bool) -> Path:
    """Write `data` at `path` and return where it is.

    Without `overwrite` an existing file is kept and the next free name taken instead, even if another program
    creates a file at the same moment.

    Raises:
        OutputError: the file cannot be written, for example because the disk is full; nothing is left behind.
    """
    beside = _beside(path)
    try:
        with os.fdopen(_create(beside), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            beside.replace(path.resolve())  # a link keeps pointing where it points
            return path
        return _link_free(beside, path)
    except OSError as error:
        raise OutputError(_cannot_write(path, error)) from error
    finally:
        beside.unlink(missing_ok=True)


def remove_pieces(folder: Path, *, now: Callable[[], float] = time.time) -> None:
    """Remove what an interrupted `write_whole` has left in `folder`; a younger piece may be another process's."""
    for piece in folder.glob(".*.part"):
        if _PIECE.fullmatch(piece.name) and not piece.is_symlink() and piece.is_file():
            with suppress(FileNotFoundError):
                if now() - piece.stat().st_mtime > STALE_S:
                    piece.unlink()


def read_ordinary(path: Path) -> bytes:
    """Return what the file at `path` holds; OSError for a link, a folder, a pipe or whatever else is no file."""
    # Not blocking, for to open a pipe would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | _ORDINARY)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
        return file.read()


def _find_problem(path: Path) -> str | None:
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist; expected a folder to write {path.name} in"
    if path.is_dir():
        return f"{path} is a folder; expected the name of a file"
    if path.exists() and not path.is_file():
        return f"{path} is no ordinary file; expected the name of a file"
    return None


def _beside(path: Path) -> Path:
    target = path.resolve()
    return target.with_name(f".{secrets.token_hex(6)}.part")


def _create(path: Path) -> int:
    # Not tempfile: its files are closed to everyone else, and a picture is to follow the user's umask.
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)


def _link_free(beside: Path, path: Path) -> Path:
    """Link the finished file to the first free name; linking, unlike renaming, refuses a name that is taken."""
    while True:
        candidate = free_path(path)
        try:
            os.link(beside, candidate)
        except FileExistsError:
            continue
        except OSError:  # a file system without hard links, such as a memory card's
            beside.rename(candidate)
        return candidate


def _cannot_write(path: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return f"cannot write {str(path)[:200]}: {reason}; expected a folder with room that is open to you"
