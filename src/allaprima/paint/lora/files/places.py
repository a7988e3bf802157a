"""Where the LoRAs of a folder lie: one look at it and all folders below.

    places = look(Path("models/lora"))
    places.find("ink")              # of models/lora/style/ink.safetensors, as style/ink does

A look is good until one of the folders changes, which their times tell, so `LoraFolder` keeps it.
"""

from __future__ import annotations

import os
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from allaprima.paint.lora.files.adapter_config import BESIDE, config_beside
from allaprima.paint.lora.files.links import leads_out
from allaprima.paint.lora.files.locations import PICKLES, SUFFIX, holds_one_lora

MAX_NAME_CHARS = 200
_MOST_DEEP = 8
"""Folders in folders that are looked into."""
_SETTLED_NS = 2_000_000_000
"""After so long a folder's time tells of every change: file systems count in steps, some of them in seconds."""
_UNSAFE = frozenset('/\\:<>\0"|?*')
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})")


@dataclass(frozen=True, kw_only=True)
class LoraPlace:
    """A LoRA that was seen."""

    name: str
    """The way to it inside the folder, without its ending: style/ink."""
    path: Path
    """Its file, or the folder of its own that it lies in."""
    rank: int = 0
    """Of two places of one name the lower counts: a file, a folder, a pickle."""
    complaint: str = ""
    """Why it cannot be asked for."""

    @property
    def stem(self) -> str:
        """The last part of its name."""
        return self.name.rpartition("/")[2]

    def goes_by(self, name: str) -> bool:
        """Return whether `name` means it, or the LoRA or folder that it is a part of."""
        shard = _SHARD.fullmatch(self.stem)
        return name in (self.name, self.stem) or (
            shard is not None and name in (shard[1], self.name.rpartition("/")[0])
        )


@dataclass(frozen=True, kw_only=True)
class Places:
    """What one look has seen."""

    all: tuple[LoraPlace, ...]
    """Every place, also those that cannot be asked for."""
    left_out: dict[Path, str]
    """Why what looks like a LoRA cannot be asked for, and what to do."""
    times: dict[str, int] = field(repr=False)
    """The folders that were looked into, and when they last changed."""
    looked_ns: int
    """When."""

    def is_fresh(self) -> bool:
        """Return whether another look would see the same."""
        try:
            return all(
                os.stat(path).st_mtime_ns == changed and self.looked_ns - changed > _SETTLED_NS  # noqa: PTH116 (quick)
                for path, changed in self.times.items()
            )
        except OSError:
            return False

    @cached_property
    def by_name(self) -> dict[str, LoraPlace]:
        """The places by the names that are shown: the last part alone where it means one place."""
        usable: dict[str, LoraPlace] = {}
        for place in sorted(self.all, key=lambda place: place.rank):
            if not place.complaint:
                usable.setdefault(place.name, place)
        stems = Counter(place.stem for place in usable.values())
        return {
            place.stem if stems[place.stem] == 1 or place.stem == name else name: place
            for name, place in usable.items()
        }

    def find(self, name: str) -> tuple[LoraPlace, ...]:
        """Return the place that `name` means, several if it could mean any of them.

        The way to it counts, or its last part alone; a file right in the folder comes before those below. Forms of
        Unicode that look alike are one.
        """
        return self._exact.get(_key(name), ())

    def find_loosely(self, name: str) -> tuple[LoraPlace, ...]:
        """Return as `find`, but capitals do not matter, and the file's ending may be there."""
        folded = _key(name.removesuffix(SUFFIX) or name)
        return self._exact.get(folded, ()) or self._folded.get(folded.casefold(), ())

    @cached_property
    def _exact(self) -> dict[str, tuple[LoraPlace, ...]]:
        known: dict[str, tuple[LoraPlace, ...]] = {}
        for place in self.by_name.values():
            known[_key(place.name)] = (*known.get(_key(place.name), ()), place)
        stems: dict[str, tuple[LoraPlace, ...]] = {}
        for place in self.by_name.values():
            stems[_key(place.stem)] = (*stems.get(_key(place.stem), ()), place)
        return stems | known

    @cached_property
    def _folded(self) -> dict[str, tuple[LoraPlace, ...]]:
        known: dict[str, tuple[LoraPlace, ...]] = {}
        for name, places in self._exact.items():
            known[name.casefold()] = tuple(dict.fromkeys((*known.get(name.casefold(), ()), *places)))
        return known


NOTHING = Places(all=(), left_out={}, times={}, looked_ns=0)
"""What a folder holds that is not there."""


def look(folder: Path, *, but: Path | None = None) -> Places:
    """Return what lies in `folder`, `but` not in that folder below; OSError if it cannot be looked into."""
    started = time.time_ns()
    seen = _Look(folder, but)
    found = tuple(seen.walk(str(folder), "", 0))
    if (own := _own(folder, found)) is not None:
        found = (own,)
    left_out = {place.path: _advice(place) for place in found if place.complaint} | seen.stray
    return Places(all=found, left_out=left_out, times=seen.times, looked_ns=started)


def fault(part: str) -> str:
    """Return why `part` is no name, such as what paths, prompts or file systems give a meaning, or nothing."""
    if not part:
        return "its name is empty"
    if part.startswith("."):
        return "its name begins with a dot"
    if len(part) > MAX_NAME_CHARS:
        return f"its name has more than {MAX_NAME_CHARS} characters"
    wrong = sorted(char for char in set(part) if char in _UNSAFE or not char.isprintable())
    return f"its name holds {''.join(wrong)!a}" if wrong else ""


class _Look:
    """One walk through a folder."""

    def __init__(self, folder: Path, but: Path | None) -> None:
        self._home = folder
        self._walked = set() if but is None else {os.path.realpath(but)}
        self.times: dict[str, int] = {}
        self.stray: dict[Path, str] = {}

    def walk(self, folder: str, before: str, depth: int, *, is_lora: bool = False) -> Iterator[LoraPlace]:
        """Yield the places in `folder` and below; `before` goes before their names.

        Args:
            is_lora: whether the files right in it are one LoRA, which is a place already.
        """
        real = os.path.realpath(folder)
        if real in self._walked:  # a link back, or two to one folder
            return
        self._walked.add(real)
        self.times[folder] = os.stat(folder).st_mtime_ns  # noqa: PTH116 (quick)
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
        if is_lora:
            entries = [entry for entry in entries if _is_folder(entry)]
        weights = [entry for entry in entries if entry.name.lower().endswith(SUFFIX)]
        if len(weights) > 1 and any(entry.name == BESIDE for entry in entries):
            self._check_config(Path(folder, BESIDE), [Path(entry.path) for entry in weights])
        for entry in entries:
            yield from self._entry(entry, before, depth)

    def _entry(self, entry: os.DirEntry[str], before: str, depth: int) -> Iterator[LoraPlace]:
        path = Path(entry.path)
        if _is_folder(entry):
            yield from self._folder(entry, path, before, depth)
            return
        stem, ending = path.stem, path.suffix
        if ending.lower() == SUFFIX or ending.lower() in PICKLES:
            complaint = fault(stem) or _shard(stem)
            if not complaint and entry.is_symlink() and leads_out(path, self._home):
                complaint = LINK
            yield LoraPlace(
                name=before + stem, path=path, rank=0 if ending.lower() == SUFFIX else 2, complaint=complaint
            )

    def _folder(self, entry: os.DirEntry[str], path: Path, before: str, depth: int) -> Iterator[LoraPlace]:
        is_lora = holds_one_lora(path)
        if entry.is_symlink() and leads_out(path, self._home):
            if is_lora:
                yield LoraPlace(name=before + entry.name, path=path, rank=1, complaint=LINK)
            elif not fault(entry.name):
                self.stray[path] = f"{LINK}; put the folder itself there, or name it with --lora-dir"
            return
        if is_lora:
            yield LoraPlace(name=before + entry.name, path=path, rank=1, complaint=fault(entry.name))
        if fault(entry.name):
            return
        if depth < _MOST_DEEP:
            yield from self.walk(entry.path, f"{before}{entry.name}/", depth + 1, is_lora=is_lora)
        else:
            self.stray[path] = f"it lies more than {_MOST_DEEP} folders deep; put its files further up"

    def _check_config(self, config: Path, weights: list[Path]) -> None:
        """Say that a configuration lies beside several LoRAs of which none is the one it is for."""
        if all(config_beside(path) is None for path in weights):
            self.stray[config] = (
                f"it lies beside {len(weights)} LoRAs and does not say for which; put it and its own into a folder"
            )


LINK = "it is a link out of the folder"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _own(folder: Path, found: tuple[LoraPlace, ...]) -> LoraPlace | None:
    """Return the place of a folder that is itself one LoRA and holds nothing else, as `--lora-dir` may name one."""
    if any("/" in place.name or place.rank == 1 for place in found) or not holds_one_lora(folder):
        return None
    name = folder.resolve().name
    return LoraPlace(name=name, path=folder, rank=1, complaint=fault(name))


def _shard(stem: str) -> str:
    shard = _SHARD.fullmatch(stem)
    return f"it is part {int(shard[2])} of {int(shard[3])} of the LoRA {shard[1]}" if shard else ""


def _advice(place: LoraPlace) -> str:
    if place.complaint == LINK:
        return f"{LINK}; put the file itself there"
    if _SHARD.fullmatch(place.stem):
        return f"{place.complaint}; save the LoRA as one file, as diffusers does by itself"
    ending = "" if place.rank == 1 else SUFFIX
    return f"{place.complaint}; rename it, for example to {_safe_name(place.stem)}{ending}"


def _safe_name(name: str) -> str:
    """Return a name that can be asked for and is much like `name`."""
    plain = "".join("-" if char in _UNSAFE or not char.isprintable() else char for char in name)
    return re.sub("-+", "-", plain.lstrip("."))[:100].strip("- ") or "lora"


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name)
