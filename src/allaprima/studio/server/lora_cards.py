"""The folder of LoRAs as clients see it: names, what the files say, and whether a picture lies beside them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.accelerators import with_accelerator
from allaprima.paint.lora.files.folder import LoraFile, LoraFolder
from allaprima.paint.lora.files.header import read_header
from allaprima.paint.lora.files.metadata import LoraMetadata, read_metadata
from allaprima.paint.lora.files.summary import read_summary

PREVIEWS = (".preview.png", ".png", ".jpg", ".jpeg", ".webp")
"""The endings of the picture beside a LoRA, after the stem of its file, as A1111 and similar programs write it."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LoraCard(LoraMetadata):
    """A LoRA as clients see it: a name, never a path, and what its file says."""

    name: str
    """What a request asks for."""
    preview: Path | None = field(default=None, repr=False)
    """A picture that lies beside it; for the server alone."""


class LoraCards:
    """The cards of one folder, which is looked at with every call, so that there is nothing to refresh.

    Args:
        path: of the folder; it need not exist.
        behind: the folder of the LoRAs that ship with a base.
    """

    def __init__(self, path: Path, *, behind: Path | None = None) -> None:
        self._folder = LoraFolder(path, behind=behind)
        self._metadata: dict[Path, tuple[tuple[int, ...], LoraMetadata]] = {}
        """What each file says, with the stamp it was read at."""
        self._listed: tuple[LoraFile, ...] | None = None
        self._cards: list[LoraCard] = []

    def all(self) -> Sequence[LoraCard]:
        """Return the cards in alphabetical order; files that cannot be used are left out and named in the log."""
        files = self._folder.files()
        if files is not self._listed:
            previews = _Previews()
            cards = (self._card(file, previews.find) for file in files)
            self._cards = [card for card in cards if card is not None]
            self._listed = files
        return self._cards

    def find(self, name: str) -> LoraCard | None:
        """Return the card of that name; None if there is none, or its file cannot be used, which is then logged."""
        try:
            file = self._folder.find(name)
        except LoraError as error:
            _LOG.info("a LoRA is left out: %s", error)
            return None
        return None if file is None else self._card(file, _find_preview)

    def accelerators(self) -> tuple[str, ...]:
        """Return the names of the LoRAs that may be public accelerators; none of a folder that cannot be read."""
        try:
            return self._folder.accelerators()
        except LoraError as error:
            _LOG.info("no accelerator is looked for: %s", error)
            return ()

    def _card(self, file: LoraFile, find_preview: Callable[[Path], Path | None]) -> LoraCard | None:
        try:
            metadata = self._read(file)
        except LoraError as error:
            _LOG.info("a LoRA is left out: %s", error)
            return None
        return LoraCard(name=file.name, preview=find_preview(file.path), **vars(metadata))

    def _read(self, file: LoraFile) -> LoraMetadata:
        stamp, metadata = self._metadata.get(file.path, ((), LoraMetadata()))
        if stamp != file.stamp:
            metadata = read_metadata(read_header(file.path).metadata)
            if metadata.family is None:  # most declare it; the layers of the others take longer to look at
                metadata = replace(metadata, family=read_summary(file.path).family)
            metadata = with_accelerator(metadata, file.path, metadata.family)
            self._metadata[file.path] = (file.stamp, metadata)
        return metadata


def _find_preview(path: Path) -> Path | None:
    """Return the picture beside the LoRA at `path`, None if there is none."""
    candidates = (path.with_name(path.stem + suffix) for suffix in PREVIEWS)
    return next((file for file in candidates if file.is_file() and not file.is_symlink()), None)


class _Previews:
    """The pictures beside many LoRAs, by one look into each folder."""

    def __init__(self) -> None:
        self._names: dict[Path, set[str]] = {}

    def find(self, path: Path) -> Path | None:
        """Return as `_find_preview`."""
        if path.parent not in self._names:
            with os.scandir(path.parent) as entries:
                pictures = (entry for entry in entries if entry.name.endswith(PREVIEWS))
                files = {entry.name for entry in pictures if entry.is_file(follow_symlinks=False)}
            self._names[path.parent] = files
        names = (path.stem + suffix for suffix in PREVIEWS)
        return next((path.with_name(name) for name in names if name in self._names[path.parent]), None)
