"""A folder of wildcards: `animal.txt` holds a line for each thing that `__animal__` may stand for.

    folder = WildcardFolder(Path("models/wildcards"))
    folder.find("animal")           # ((1.0, "a cat"), (2.0, "a fox")) of the lines "a cat" and "2::a fox"

Folders below are looked into, as for LoRAs: a file there is asked for by its name alone, or by the way to it. `*`
stands for any part of a name, and all lines of all such files count. Empty lines and those that begin with # do not.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from allaprima.core.errors import RequestError
from allaprima.core.models_folders import listed_folders
from allaprima.core.user_paths import is_folder
from allaprima.core.wildcards import WildcardLine, split_weight

DEFAULT_FOLDER = Path("models/wildcards")
IN_MODELS = ("wildcards", "models/wildcards", "extensions/sd-dynamic-prompts/wildcards")
"""Where other programs keep wildcards, below the folder of models that a user names."""
_ENDING = ".txt"
_MAX_BYTES = 4 << 20
_MAX_FILES = 20_000
_MOST_DEEP = 8


def existing_wildcards(path: Path | None, models_dirs: Sequence[Path] = ()) -> Path:
    """Return the folder that is named, or, if none is, the usual one or that of another program's models.

    Raises:
        RequestError: a folder is named that is not there.
    """
    if path is None:
        beside = [folder / name for folder in listed_folders(models_dirs) for name in IN_MODELS]
        return next(filter(is_folder, (DEFAULT_FOLDER, *beside)), DEFAULT_FOLDER)
    if not is_folder(path):
        state = "which is not a folder" if os.path.lexists(path) else "which is not there"
        raise RequestError(f"got {path} as the folder of wildcards, {state}; expected a folder that exists")
    return path


class WildcardFolder:
    """The wildcards in one folder; files may change at any time. Threads may share one.

    Args:
        path: of the folder; it need not exist.
    """

    def __init__(self, path: Path = DEFAULT_FOLDER) -> None:
        self.path = path
        self._read: dict[Path, tuple[tuple[int, int], tuple[WildcardLine, ...]]] = {}

    def names(self) -> tuple[str, ...]:
        """Return the way to every wildcard, without its ending, in order."""
        return tuple(sorted(self._files()))

    def find(self, name: str) -> tuple[WildcardLine, ...] | None:
        """Return the lines of the wildcard `name`; None if there is none of that name, or it holds none.

        Raises:
            RequestError: `name` is a path out of the folder, could mean several files, or a file cannot be read.
        """
        asked = _key(name.replace("\\", "/"))
        if any(part.startswith(".") or not part for part in asked.split("/")) or asked.startswith("~"):
            raise RequestError(
                f"got the wildcard {name[:80]!r}; expected the name of a file in the folder, without its ending",
                field="prompt",
            )
        files = self._files()
        if "*" in asked:
            found = [path for way, path in sorted(files.items()) if _fits(way, asked)]
        else:
            found = self._only(name, asked, files)
        return tuple(line for path in found for line in self._lines(path)) or None

    def _only(self, name: str, asked: str, files: dict[str, Path]) -> list[Path]:
        ways = [way for way in files if way == asked]
        ways = ways or [way for way in files if way.rpartition("/")[2] == asked]
        folded = asked.casefold()
        ways = ways or [way for way in files if folded in (way.casefold(), way.rpartition("/")[2].casefold())]
        if len(ways) > 1:
            listed = ", ".join(sorted(ways)[:4])
            raise RequestError(
                f"got the wildcard {name[:80]!r}, which could be any of {listed}; expected one of these",
                field="prompt",
            )
        return [files[way] for way in ways]

    def _files(self) -> dict[str, Path]:
        """Return the files by the ways to them, forms of Unicode that look alike being one."""
        return {_key(way): path for _, (way, path) in zip(range(_MAX_FILES), _walk(self.path), strict=False)}

    def _lines(self, path: Path) -> tuple[WildcardLine, ...]:
        try:
            status = path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            known = self._read.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            if status.st_size > _MAX_BYTES:
                raise RequestError(
                    f"the wildcard {path.name} has {status.st_size:,} bytes; expected 4 MiB at most"
                )
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
            raise RequestError(
                f"cannot read the wildcard {path.name}: {reason}; expected lines of text"
            ) from error
        stripped = (line.strip() for line in text.splitlines())
        lines = tuple(split_weight(line) for line in stripped if line and not line.startswith("#"))
        self._read[path] = stamp, lines
        return lines


def _walk(home: Path) -> Iterator[tuple[str, Path]]:
    """Yield the way to each file, without its ending, and the file; links out of the folder are left out."""
    inside, seen = os.path.realpath(home), set[str]()
    waiting = [(str(home), "", 0)]
    while waiting:
        folder, before, depth = waiting.pop(0)
        real = os.path.realpath(folder)
        if real in seen or not (real == inside or real.startswith(inside + os.sep)):
            continue
        seen.add(real)
        for entry in _entries(folder):
            if entry.is_dir():
                if depth < _MOST_DEEP:
                    waiting.append((entry.path, f"{before}{entry.name}/", depth + 1))
            elif entry.name.lower().endswith(_ENDING):
                if entry.is_symlink() and not os.path.realpath(entry.path).startswith(inside + os.sep):
                    continue
                yield before + entry.name[: -len(_ENDING)], Path(entry.path)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as scanned:
            entries = [entry for entry in scanned if not entry.name.startswith(".")]
    except OSError:
        return []
    return sorted(entries, key=lambda entry: entry.name)


def _fits(way: str, pattern: str) -> bool:
    """Return whether a pattern names a file by the way to it, or by its own name; `*` does not cross folders."""
    ways, asked = way.split("/"), pattern.split("/")
    if "**" in asked:
        return fnmatchcase(way, pattern)
    ways = ways[-1:] if len(asked) == 1 else ways
    return len(ways) == len(asked) and all(map(fnmatchcase, ways, asked))


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name)
