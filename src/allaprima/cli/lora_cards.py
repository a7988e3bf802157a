"""The folder of LoRAs as the server shows it: names, what the files say, the pictures beside them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.folder import LoraFile, LoraFolder
from allaprima.paint.lora.files.header import read_header
from allaprima.paint.lora.files.metadata import LoraMetadata, read_metadata
from allaprima.paint.lora.files.summary import read_summary
from allaprima.studio.server.studio import LoraCard

PREVIEWS = (".preview.png", ".png", ".jpg", ".jpeg", ".webp")
"""What A1111 and its kin put beside a LoRA's file, after its stem."""
_LOG = logging.getLogger(__name__)


class FolderCards:
    """A `LoraFolder` for the server; looked at when it is asked, so there is nothing to refresh.

    Args:
        path: of the folder.
        behind: of the LoRAs that ship.
    """

    def __init__(self, path: Path, *, behind: Path | None = None) -> None:
        self._folder = LoraFolder(path, behind=behind)
        self._told: dict[Path, tuple[tuple[int, ...], LoraMetadata]] = {}
        """What each file says, with the stamp it was read at."""

    def cards(self) -> Sequence[LoraCard]:
        """Return what may be asked for; files that cannot be used are left out and named in the log."""
        found = map(self.find, self._folder.names())
        return [card for card in found if card is not None]

    def find(self, name: str) -> LoraCard | None:
        """Return the one of that name; None if there is none, or it cannot be used, which is then logged."""
        try:
            file = self._folder.find(name)
            told = None if file is None else self._read(file)
        except LoraError as error:
            _LOG.info("a LoRA is left out: %s", error)
            return None
        if file is None or told is None:
            return None
        return LoraCard(
            name=name,
            trigger_words=told.trigger_words,
            family=told.family,
            steps=told.steps,
            guidance=told.guidance,
            preview=_find_preview(file.path),
        )

    def _read(self, file: LoraFile) -> LoraMetadata:
        stamp, told = self._told.get(file.path, ((), LoraMetadata()))
        if stamp != file.stamp:
            told = read_metadata(read_header(file.path).metadata)
            if told.family is None:  # most files declare it; the layers of the others take longer to look at
                told = replace(told, family=read_summary(file.path).family)
            self._told[file.path] = (file.stamp, told)
        return told

    def refresh(self) -> None:
        """There is nothing to do."""


def _find_preview(path: Path) -> Path | None:
    beside = (path.with_name(path.stem + suffix) for suffix in PREVIEWS)
    return next((one for one in beside if one.is_file() and not one.is_symlink()), None)
