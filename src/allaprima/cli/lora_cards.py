"""The folder of LoRAs as the server shows it: names, and the pictures that lie beside them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from allaprima.core.errors import LoraError
from allaprima.paint.lora.folder import LoraFolder
from allaprima.studio.server.studio import LoraCard

PREVIEWS = (".preview.png", ".png", ".jpg", ".jpeg", ".webp")
"""What A1111 and its kin put beside a LoRA's file, after its stem."""
_LOG = logging.getLogger(__name__)


class FolderCards:
    """A `LoraFolder` for the server; looked at when it is asked, so there is nothing to refresh."""

    def __init__(self, path: Path) -> None:
        self._folder = LoraFolder(path)

    def cards(self) -> Sequence[LoraCard]:
        """Return what may be asked for; files that cannot be used are left out and named in the log."""
        found = []
        for name in self._folder.names():
            try:
                file = self._folder.require(name)
            except LoraError as error:
                _LOG.info("a LoRA is left out: %s", error)
            else:
                found.append(LoraCard(name=name, preview=_find_preview(file.path)))
        return found

    def refresh(self) -> None:
        """There is nothing to do."""


def _find_preview(path: Path) -> Path | None:
    beside = (path.with_name(path.stem + suffix) for suffix in PREVIEWS)
    return next((one for one in beside if one.is_file() and not one.is_symlink()), None)
