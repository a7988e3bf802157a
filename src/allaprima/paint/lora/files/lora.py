"""One LoRA once it is read: the update of each layer's weight."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from torch import Tensor

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
    vectors: dict[str, Tensor] = field(default_factory=dict)
    """By parameter, such as `unet.conv_norm_out.weight`, what is added to a bias or to a norm's weight."""
    metadata: LoraMetadata = field(default_factory=LoraMetadata)
    """What the file says about itself."""
    path: Path | None = None
    """The file of the weights; None for a LoRA made in memory."""
    unmatched: tuple[str, ...] = ()
    """The file's keys, and its configuration's patterns, that no layer of the base answers to."""

    @cached_property
    def num_bytes(self) -> int:
        """What its matrices take in memory."""
        matrices = sum(update.num_bytes for update in self.updates.values())
        return matrices + sum(vector.nbytes for vector in self.vectors.values())
