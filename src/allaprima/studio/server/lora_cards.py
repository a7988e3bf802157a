"""The folder of LoRAs as clients see it: names, what the files say, and whether a picture lies beside them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from allaprima.core.errors import LoraError
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

    def all(self) -> Sequence[LoraCard]:
        """Return the cards in alphabetical order; files that cannot be used are left out and named in the log."""
        cards = (self._card(file) for file in self._folder.files())
        return [card for card in cards if card is not None]

    def find(self, name: str) -> LoraCard | None:
        """Return the card of that name; None if there is none, or its file cannot be used, which is then logged."""
        try:
            file = self._folder.find(name)
        except LoraError as error:
            _LOG.info("a LoRA is left out: %s", error)
            return None
        return None if file is None else self._card(file)

    def _card(self, file: LoraFile) -> LoraCard | None:
        try:
            metadata = self._read(file)
        except LoraError as error:
            _LOG.info("a LoRA is left out: %s", error)
            return None
        return LoraCard(name=file.name, preview=_find_preview(file.path), **vars(metadata))

    def _read(self, file: LoraFile) -> LoraMetadata:
        stamp, metadata = self._metadata.get(file.path, ((), LoraMetadata()))
        if stamp != file.stamp:
            metadata = read_metadata(read_header(file.path).metadata)
            if metadata.family is None:  # most declare it; the layers of the others take longer to look at
                metadata = replace(metadata, family=read_summary(file.path).family)
            self._metadata[file.path] = (file.stamp, metadata)
        return metadata


def _find_preview(path: Path) -> Path | None:
    candidates = (path.with_name(path.stem + suffix) for suffix in PREVIEWS)
    return next((file for file in candidates if file.is_file() and not file.is_symlink()), None)
