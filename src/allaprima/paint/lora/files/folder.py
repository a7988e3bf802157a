"""A folder of LoRAs: names to files, never paths to files.

    folder = LoraFolder(Path("models/lora"))
    folder.names()                  # ("anime-v2", "ink")
    folder.require("ink").path      # models/lora/style/ink.safetensors

A file that was just put there can be used at once. Folders below are looked into: a file there is asked for by its
name alone, as A1111 does, or by the way to it, as ComfyUI does. A folder that is itself one LoRA, as in
`--lora-dir models/lora/anime-v2`, holds that one. A file under a name that nobody can ask for is left out, and
`left_out` says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from allaprima.core.errors import LoraError
from allaprima.core.models_folders import listed_folders
from allaprima.paint.lora.files.accelerators import looks_accelerated
from allaprima.paint.lora.files.adapter_config import config_beside
from allaprima.paint.lora.files.header import read_header
from allaprima.paint.lora.files.links import leads_out
from allaprima.paint.lora.files.locations import PICKLES, weights_at
from allaprima.paint.lora.files.places import LINK, NOTHING, LoraPlace, Places, fault, look

DEFAULT_FOLDER = Path("models/lora")
SHIPPED = "loras"
"""The folder of LoRAs that ship with a base, beside its weights."""
_ALIAS = "ss_output_name"
"""Where kohya's sd-scripts keep the name that a LoRA was trained under, which A1111 takes as well."""


IN_MODELS = ("loras", "models/loras", "Lora", "models/Lora")
"""Where ComfyUI and A1111 keep LoRAs, below the folder of models that a user names."""


def existing_folder(path: Path | None, models_dirs: Sequence[Path] = ()) -> Path:
    """Return the folder that is named, or, if none is, the usual one or that of another program's models.

    Args:
        path: named by a user.
        models_dirs: folders of models, or lists of them, in which LoRAs may lie beside them; they count if the usual
            one is not there.

    Raises:
        LoraError: a folder is named that is not there.
    """
    if path is None:
        listed = listed_folders(models_dirs)
        beside = [folder / name for folder in listed for name in IN_MODELS]
        themselves = [folder for folder in listed if folder.name in IN_MODELS]
        there = (folder for folder in (DEFAULT_FOLDER, *beside, *themselves) if folder.is_dir())
        return next(there, DEFAULT_FOLDER)
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
    parts: tuple[Path, ...] = field(default=(), repr=False)
    """Its files, of which the stamp is."""


@dataclass(frozen=True)
class _Listing:
    """The files of a folder as they were listed last."""

    seen: Places
    shipped: tuple[LoraFile, ...]
    files: tuple[LoraFile, ...]

    def is_current(self, seen: Places, shipped: tuple[LoraFile, ...]) -> bool:
        """Return whether a new list would be the same: a file may change without its folder's knowing."""
        if seen is not self.seen or shipped is not self.shipped:
            return False
        try:
            return all(file.stamp == _stamp(file.parts) for file in self.files)
        except OSError:
            return False


class LoraFolder:
    """The LoRAs in one folder.

    Args:
        path: of the folder; it need not exist yet.
        behind: another folder, whose LoRAs count where this one has none of their names; it need not exist.
    """

    def __init__(self, path: Path = DEFAULT_FOLDER, *, behind: Path | None = None) -> None:
        self.path = path
        self._behind = None if behind is None else LoraFolder(behind)
        self._seen: Places | None = None
        self._listing: _Listing | None = None
        self._accelerated: tuple[Places | None, tuple[str, ...]] = (None, ())
        self._aliases: tuple[Places | None, dict[str, list[LoraPlace]]] = (None, {})

    def names(self) -> tuple[str, ...]:
        """Return every name that can be asked for, in order, even if its file will be refused."""
        return tuple(sorted({*self._look().by_name, *(() if self._behind is None else self._behind.names())}))

    def accelerators(self) -> tuple[str, ...]:
        """Return those of `names` that a public accelerator may have; only their files can tell."""
        seen = self._look()
        if self._accelerated[0] is not seen:
            own = tuple(sorted(filter(looks_accelerated, seen.by_name)))
            self._accelerated = (seen, own)
        behind = () if self._behind is None else self._behind.accelerators()
        return tuple(sorted({*self._accelerated[1], *behind}))

    def files(self) -> tuple[LoraFile, ...]:
        """Return the file of each of `names` that can be had, by one look at the folder.

        As long as nothing changes it is one and the same tuple.
        """
        shipped = () if self._behind is None else self._behind.files()
        if self._listing is None or not self._listing.is_current(self._look(), shipped):
            seen = self._look()
            self._listing = _Listing(seen, shipped, self._list(seen, shipped))
        return self._listing.files

    def _list(self, seen: Places, shipped: tuple[LoraFile, ...]) -> tuple[LoraFile, ...]:
        files = {file.name: replace(file, shipped=True) for file in shipped}
        for name, place in seen.by_name.items():
            files.pop(name, None)
            try:
                files[name] = self._file(name, place)
            except LoraError:
                continue
        return tuple(files[name] for name in sorted(files))

    def left_out(self) -> dict[Path, str]:
        """Return by path what looks like a LoRA but has no name to ask for it by, with why and what to do."""
        return dict(self._look().left_out)

    def find(self, name: str, *, fits: Callable[[Path], bool] | None = None) -> LoraFile | None:
        """Return the file that `name` means, or None if there is none of that name.

        A name that is none as it stands may still be one but for capitals or its ending, or be the name that a file
        was trained under.

        Args:
            fits: says whether a file fits the base; one that does not hides no file of its name in the folder behind.

        Raises:
            LoraError: `name` is no name but a path, could mean several, leads out of the folder, or to a pickle.
        """
        asked = name.replace("\\", "/")
        if asked.startswith("~") or any(map(fault, asked.split("/"))):
            raise LoraError(
                f"got LoRA {name[:80]!r}; expected the name of a file in the folder, without its ending"
            )
        places = self._look().find(asked)
        shipped = self._find_behind(name)
        if places:
            file = self._file(name, self._only(name, places))
            return shipped if shipped is not None and fits is not None and not fits(file.path) else file
        if shipped is not None:
            return shipped
        places = self._look().find_loosely(asked) or self._called(asked)
        self._refuse_left_out(asked)
        return self._file(name, self._only(name, places)) if places else None

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

    def _look(self) -> Places:
        """Return what lies in the folder, from the last look if nothing has changed since."""
        if self._seen is None or not self._seen.is_fresh():
            try:
                self._seen = look(self.path, but=None if self._behind is None else self._behind.path)
            except FileNotFoundError:
                return NOTHING
            except (OSError, ValueError) as error:
                raise LoraError(
                    f"cannot look into {self.path}: {error}; expected a folder of LoRAs"
                ) from error
        return self._seen

    def _find_behind(self, name: str) -> LoraFile | None:
        shipped = None if self._behind is None else self._behind.find(name)
        return None if shipped is None else replace(shipped, shipped=True)

    def _called(self, name: str) -> tuple[LoraPlace, ...]:
        """Return the files that were trained under `name`, or lie in a folder of their own and are called so.

        Their headers are read once a look.
        """
        seen, aliases = self._aliases
        if seen is not self._look():
            aliases = {}
            for place in self._look().by_name.values():
                for alias in _aliases_of(place):
                    aliases.setdefault(alias, []).append(place)
            self._aliases = self._look(), aliases
        return tuple(aliases.get(name, ()))

    def _only(self, name: str, places: tuple[LoraPlace, ...]) -> LoraPlace:
        top = [place for place in places if "/" not in place.name]
        if len(places) > 1 and len(top) != 1:
            ways = ", ".join(place.name for place in places[:4])
            raise LoraError(f"got LoRA {name!r}, which could be any of {ways}; expected one of these")
        return (top or list(places))[0]

    def _refuse_left_out(self, name: str) -> None:
        """Say why what is there under `name` cannot be used."""
        for place in self._look().all:
            if place.complaint == LINK and place.goes_by(name):
                raise LoraError(self._out(name))
            if place.complaint and place.goes_by(name):
                raise LoraError(f"got LoRA {name!r}: {self._look().left_out[place.path]}")

    def _out(self, name: str) -> str:
        return f"got LoRA {name!r}, a link out of {self.path}; expected a file inside it"

    def _file(self, name: str, place: LoraPlace) -> LoraFile:
        weights = weights_at(place.path)
        config = config_beside(weights)
        linked = place.path.is_symlink()
        for path in dict.fromkeys((place.path, weights, *([config] if config else []))):
            # A plain file is not asked twice: there may be thousands.
            if (linked or (path != place.path and path.is_symlink())) and leads_out(path, self.path):
                raise LoraError(self._out(name))
        parts = (weights, *([config] if config else []))
        try:
            return LoraFile(name=name, path=weights, stamp=_stamp(parts), parts=parts)
        except OSError as error:
            raise LoraError(f"cannot read {weights}: {error.strerror}; expected a LoRA file") from error


def _stamp(parts: tuple[Path, ...]) -> tuple[int, ...]:
    statuses = [os.stat(path) for path in parts]  # noqa: PTH116 (quick: there may be thousands)
    return tuple(part for status in statuses for part in (status.st_size, status.st_mtime_ns))


def _aliases_of(place: LoraPlace) -> tuple[str, ...]:
    """Return by which names a place is found where no other has them."""
    if place.rank == 0:
        return (alias,) if (alias := _trained_as(place.path)) else ()
    try:
        stem = weights_at(place.path).stem
    except LoraError:
        return ()
    return stem, f"{place.name}/{stem}"


def _trained_as(path: Path) -> str:
    """Return the name that the file at `path` was trained under, "" if it does not say."""
    if path.suffix.lower() in PICKLES:
        return ""
    try:
        return read_header(path).metadata.get(_ALIAS, "")
    except LoraError:
        return ""
