"""One LoRA once it is read: for each layer the change to its weight, whatever the file called it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from torch import Tensor

from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.files.weight_file import digest_of_bytes
from allaprima.paint.lora.update import Update


@dataclass(frozen=True, kw_only=True, eq=False)
class Lora:
    """A LoRA whose file has been checked, or that was made in memory.

    Attributes:
        name: as `LoraFolder` calls it.
        updates: by layer: the network's name as in `Base.modules()`, a dot, and the module's path, such as
            "transformer.transformer_blocks.0.attn.to_q".
        metadata: what the file says about itself.
        path: of the file; None for a LoRA made in memory.
        unmatched: the file's keys, and its configuration's patterns, that no layer of the base answers to.
        content: the file's bytes, most `updates` being views of them; None for a LoRA made in memory.
    """

    name: str
    updates: dict[str, Update]
    metadata: LoraMetadata = field(default_factory=LoraMetadata)
    path: Path | None = None
    unmatched: tuple[str, ...] = ()
    content: Tensor | None = field(default=None, repr=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, computed when it is first asked for; "" for a LoRA made in memory."""
        return "" if self.content is None else digest_of_bytes(self.content)

    @property
    def num_bytes(self) -> int:
        """What its matrices take in memory."""
        return sum(update.num_bytes for update in self.updates.values())
