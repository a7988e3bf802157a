"""From matrices to the file one paints with, which says what it was learned from; no path is written into it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from allaprima.core.errors import UserError
from allaprima.paint.contract.base import Base
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.files.reader import read_lora
from allaprima.paint.lora.update import LowRank


@dataclass(frozen=True, kw_only=True)
class LoraRecord:
    """What a LoRA's file says of its training."""

    name: str
    family: str
    base_name: str
    base_hash: str
    prediction: str
    captions: tuple[str, ...]
    """One a picture."""
    trigger_words: tuple[str, ...]
    size: tuple[int, int]
    """Width and height in pixels."""
    batch_size: int
    learning_rate: float
    seed: int

    def metadata(self, steps: int) -> LoraMetadata:
        """Return the metadata of a LoRA that has learned for `steps` updates."""
        width, height = self.size
        raw = {
            "modelspec.resolution": f"{width}x{height}",
            "modelspec.prediction_type": self.prediction,
            "ss_sd_model_name": self.base_name,
            "ss_resolution": f"({width}, {height})",
            "ss_num_train_images": str(len(self.captions)),
            "ss_steps": str(steps),
            "ss_max_train_steps": str(steps),
            "ss_total_batch_size": str(self.batch_size),
            "ss_learning_rate": f"{self.learning_rate:g}",
            "ss_optimizer": "torch.optim.AdamW",
            "ss_seed": str(self.seed),
            "ss_tag_frequency": json.dumps({self.name: tag_frequency(self.captions)}, ensure_ascii=False),
        }
        return LoraMetadata(
            family=self.family, base_hash=self.base_hash, trigger_words=self.trigger_words, raw=raw
        )


def tag_frequency(captions: Sequence[str]) -> dict[str, int]:
    """Return how many captions hold each tag, a tag being what stands between commas, the most frequent first."""
    tags = Counter(tag for one in captions for tag in dict.fromkeys(map(str.strip, one.split(","))) if tag)
    return dict(tags.most_common())


def make_lora(
    name: str, root: str, updates: Mapping[str, LowRank], metadata: LoraMetadata | None = None
) -> Lora:
    """Return updates by path within a network as a LoRA.

    Args:
        name: the LoRA's.
        root: what LoRA files call the network.
        updates: by path in it.
        metadata: what its file is to say.
    """
    by_layer = {f"{root}.{path}": update for path, update in updates.items()}
    return Lora(name=name, updates=dict(by_layer), metadata=metadata or LoraMetadata())


def read_start(path: Path, base: Base, root: str) -> dict[str, LowRank]:
    """Return the updates of a LoRA to go on from, by path in the base's denoiser.

    Raises:
        LoraError: it cannot be read, or is for another base.
        UserError: it changes something else than that network, or a layer by a whole matrix.
    """
    lora = read_lora(path, base.modules(), family=base.family)
    updates: dict[str, LowRank] = {}
    for key, update in lora.updates.items():
        network, _, layer = key.partition(".")
        if network != root or not isinstance(update, LowRank):
            what = "by a whole matrix" if network == root else "besides the denoiser"
            raise UserError(
                f"got {path} to start from, which changes {key} {what}; expected a LoRA of the denoiser alone"
            )
        updates[layer] = update
    return updates
