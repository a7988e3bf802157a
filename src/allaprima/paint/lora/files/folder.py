"""A folder of LoRAs: names to files, never paths to files.

    folder = LoraFolder(Path("models/lora"))
    folder.names()                  # ("anime-v2", "ink")
    folder.require("ink").path      # models/lora/ink.safetensors

The folder is looked at with every call, so a file that was just put there can be used at once. A folder that is
itself one LoRA, as in `--lora-dir models/lora/anime-v2`, holds that one. A file under a name that nobody can ask for
is left out, and `left_out` says so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.adapter_config import BESIDE
from allaprima.paint.lora.files.locations import PICKLES, SUFFIX, is_lora_folder, weights_at

DEFAULT_FOLDER = Path("models/lora")
SHIPPED = "loras"
"""The folder of LoRAs that ship with a base, beside its weights."""

MAX_NAME_CHARS = 200
_UNSAFE = frozenset('/\\:<>\0"|?*')


def existing_folder(path: Path | None) -> Path:
    """Return the folder that is named, or the usual one, which need not exist, if none is.

    Raises:
        LoraError: a folder is named that is not there.
    """
    if path is None:
        return DEFAULT_FOLDER
    if not path.is_dir():
        state = "which is not a folder" if path.exists() else "which is not there"
        raise LoraError(f"got {path} as the folder of LoRAs, {state}; expected a folder that exists")
    return path


@dataclass(frozen=True, kw_only=True)
class LoraFile:
    """A name and the file it means now."""

    name: str
    """As in `--lora NAME`."""
    path: Path
    """The file of the weights."""
    stamp: tuple[int, ...]
    """The sizes and times of its files; another stamp means another content."""
    shipped: bool = False
    """Whether it ships with a base."""


class LoraFolder:
    """The LoRAs in one folder.

    Args:
        path: of the folder; it need not exist yet.
        behind: another folder, whose LoRAs count where this one has none of their names; it need not exist.
    """

    def __init__(self, path: Path = DEFAULT_FOLDER, *, behind: Path | None = None) -> None:
        self.path = path
        self._behind = None if behind is None else LoraFolder(behind)

    def names(self) -> tuple[str, ...]:
        """Return every name that can be asked for, in order, even if its file will be refused."""
        return tuple(sorted({*self._places(), *(() if self._behind is None else self._behind.names())}))

    def left_out(self) -> dict[Path, str]:
        """Return by path what looks like a LoRA but has no name to ask for it by, with why and what to do."""
        return {
            entry: f"{why}; rename it, for example to {_safe_name(name)}{'' if entry.is_dir() else SUFFIX}"
            for _, name, entry in self._entries()
            if (why := _complaint(name, entry))
        }

    def find(self, name: str, *, fits: Callable[[Path], bool] | None = None) -> LoraFile | None:
        """Return the file that `name` means, or None if there is none of that name.

        Args:
            fits: says whether a file fits the base; one that does not hides no file of its name in the folder behind.

        Raises:
            LoraError: `name` is no name but a path, it leads out of the folder, or to a pickle.
        """
        if _fault(name):
            raise LoraError(
                f"got LoRA {name[:80]!r}; expected the name of a file in the folder, without its ending"
            )
        place = self._places().get(name)
        if place is None:
            return self._find_behind(name)
        weights = weights_at(place)
        self._check_inside(name, place, weights)
        try:
            statuses = [weights.stat()]
            config = weights.with_name(BESIDE)
            statuses += [config.stat()] if config.is_file() else []
        except OSError as error:
            raise LoraError(f"cannot read {weights}: {error.strerror}; expected a LoRA file") from error
        if fits is not None and (shipped := self._find_behind(name)) is not None and not fits(weights):
            return shipped
        return LoraFile(
            name=name,
            path=weights,
            stamp=tuple(part for status in statuses for part in (status.st_size, status.st_mtime_ns)),
        )

    def require(self, name: str, *, fits: Callable[[Path], bool] | None = None) -> LoraFile:
        """Return the file that `name` means, `fits` as in `find`.

        Raises:
            LoraError: as `find`, or there is none; the message names those that are there.
        """
        if (file := self.find(name, fits=fits)) is not None:
            return file
        names = self.names()
        choices = f"one of {', '.join(names[:10])}" if names else "a file in it"
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        raise LoraError(f"got LoRA {name!r}, which is not in {self.path}; expected {choices}{more}")

    def _find_behind(self, name: str) -> LoraFile | None:
        shipped = None if self._behind is None else self._behind.find(name)
        return None if shipped is None else replace(shipped, shipped=True)

    def _places(self) -> dict[str, Path]:
        """Return the file or folder of each name; usable weights hide pickles of their name."""
        entries = [entry for entry in self._entries() if not _complaint(entry[1], entry[2])]
        return {name: path for _, name, path in sorted(entries, reverse=True)}

    def _entries(self) -> list[tuple[int, str, Path]]:
        """Return the rank, name and path of all that looks like a LoRA, whatever its name."""
        try:
            if is_lora_folder(self.path):
                return [(0, self.path.resolve().name, self.path)]
            return [
                (rank, name, entry) for entry in sorted(self.path.iterdir()) for rank, name in _entry(entry)
            ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise LoraError(f"cannot look into {self.path}: {error}; expected a folder of LoRAs") from error

    def _check_inside(self, name: str, place: Path, weights: Path) -> None:
        home = os.path.realpath(self.path)
        for path in (place, weights, weights.with_name(BESIDE)):
            # Not Path.resolve, to which a link to itself is an error of another kind.
            if not Path(os.path.realpath(path)).is_relative_to(home):
                raise LoraError(f"got LoRA {name!r}, a link out of {self.path}; expected a file inside it")


def _fault(name: str) -> str:
    """Return why `name` is no name, such as what paths, prompts or file systems give a meaning, or nothing."""
    if not name:
        return "its name is empty"
    if name.startswith("."):
        return "its name begins with a dot"
    if len(name) > MAX_NAME_CHARS:
        return f"its name has more than {MAX_NAME_CHARS} characters"
    wrong = sorted(char for char in set(name) if char in _UNSAFE or not char.isprintable())
    return f"its name holds {''.join(wrong)!a}" if wrong else ""


def _complaint(name: str, entry: Path) -> str:
    """Return why the LoRA at `entry` cannot be asked for as `name`, or nothing."""
    if entry.suffix != SUFFIX and entry.suffix.lower() == SUFFIX and not entry.is_dir():
        return f"its name ends in {entry.suffix}, not {SUFFIX}"
    return _fault(name)


def _safe_name(name: str) -> str:
    """Return a name that can be asked for and is much like `name`."""
    plain = "".join("-" if char in _UNSAFE or not char.isprintable() else char for char in name)
    return re.sub("-+", "-", plain.lstrip("."))[:100].strip("- ") or "lora"


def _entry(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the name that a folder's entry gives a LoRA, after a rank: of two places the lower counts."""
    if path.is_dir():
        name, rank = path.name, 1 if is_lora_folder(path) else None
    elif path.suffix.lower() == SUFFIX:
        name, rank = path.stem, 0
    else:
        name, rank = path.stem, 2 if path.suffix.lower() in PICKLES else None
    if rank is not None:
        yield rank, name
