"""One LoRA once it is read: the update of each layer's weight."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.update import Update


@dataclass(frozen=True, kw_only=True, eq=False)
class Lora:
    """A LoRA whose file has been checked, or that was made in memory."""

    name: str
    """Its name in a `LoraFolder`."""
    updates: dict[str, Update]
    """By layer: the network's name as in `Base.modules()`, a dot, and the module's path, such as
    `transformer.transformer_blocks.0.attn.to_q`."""
    metadata: LoraMetadata = field(default_factory=LoraMetadata)
    """What the file says about itself."""
    path: Path | None = None
    """The file of the weights; None for a LoRA made in memory."""
    unmatched: tuple[str, ...] = ()
    """The file's keys, and its configuration's patterns, that no layer of the base answers to."""

    @cached_property
    def num_bytes(self) -> int:
        """What its matrices take in memory."""
        return sum(update.num_bytes for update in self.updates.values())
