"""The cards of a folder of LoRAs, at the address and by the names that they had in 0.1.0; see `moved_names`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from allaprima.core.moved_names import warn_of_move
from allaprima.studio.server.lora_cards import LoraCard, LoraCards


class FolderCards(LoraCards):
    """`LoraCards`, as it was called."""

    def __init__(self, path: Path, *, behind: Path | None = None) -> None:
        warn_of_move(f"{__name__}.FolderCards", f"{LoraCards.__module__}.LoraCards")
        super().__init__(path, behind=behind)

    def cards(self) -> Sequence[LoraCard]:
        """Return what `LoraCards.all` does."""
        return self.all()
