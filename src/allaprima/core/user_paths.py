"""Paths and names of files as people write them: with `~` and variables, in another case or Unicode form.

And where the folder of caches is.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

MAX_ENTRIES = 20_000
"""How many files and folders are looked at in search of one name."""


def expand(path: Path) -> Path:
    """Return `path` with a leading `~` and variables expanded, unless something is there under the very name."""
    text = str(path)
    if not text.startswith(("~", "$")) or os.path.lexists(path):
        return path
    text = os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111 (Path's raises for a user who is not there)
    return path if text.startswith(("~", "$")) else Path(text)


def is_file(path: Path) -> bool:
    """Return whether a file lies at `path`; none does if its name is too long, or has a zero byte."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Return the same of a folder."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def default_cache_dir() -> Path:
    """Return the cache folder: `ALLAPRIMA_CACHE` where it is set, else `~/.cache/allaprima`."""
    named = os.environ.get("ALLAPRIMA_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "allaprima"


def same_name(text: str) -> str:
    """Return what names have in common that a person calls the same: case and Unicode form do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def find_by_name(
    folder: Path, name: str, suffixes: tuple[str, ...] = ("",), *, levels: int = 32
) -> Iterator[Path]:
    """Yield what lies below `folder` as `name`, a relative path, with one of `suffixes`, nearest first.

    Case, Unicode form and the folders in front do not count: "ink" is found as "Style/INK.safetensors". Hidden
    folders are left out. At most `MAX_ENTRIES` entries are looked at, and so many `levels` of folders.
    """
    wanted = {same_name(name + suffix) for suffix in suffixes}
    depth = name.count("/") + 1
    for path in entries_below(folder, levels):
        if same_name("/".join(path.parts[-depth:])) in wanted:
            yield path


def entries_below(folder: Path, levels: int = 32) -> Iterator[Path]:
    """Yield what lies below `folder`, level by level, each in order; links are followed, but never in a circle.

    Hidden folders are left out, and at most `MAX_ENTRIES` entries are looked at.
    """
    waiting, seen, left = [folder], set[tuple[int, int]](), MAX_ENTRIES
    for _ in range(levels):
        next_level: list[Path] = []
        for one in waiting:
            try:
                entries = sorted(os.scandir(one), key=lambda entry: entry.name)
            except (OSError, ValueError):  # closed to us, no folder, or a name with a zero byte
                continue
            for entry in entries:
                left -= 1
                if left < 0:
                    return
                yield Path(entry.path)
                if entry.is_dir() and not entry.name.startswith(".") and _is_new(entry, seen):
                    next_level.append(Path(entry.path))
        waiting = next_level


def _is_new(entry: os.DirEntry[str], seen: set[tuple[int, int]]) -> bool:
    try:
        status = entry.stat()
    except OSError:
        return False
    place = (status.st_dev, status.st_ino)
    new = place not in seen
    seen.add(place)
    return new
