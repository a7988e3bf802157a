"""Sample sheets: the same prompts from the same noise, now and then in a training, one row a moment.

They are painted as `prima paint` paints: through the one denoising loop, with the LoRA in the rack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from allaprima.lab.distill.data import PromptTexts, to_device
from allaprima.lab.evaluation.painting import paint_encoded
from allaprima.lab.lora.dataset import encode_captions
from allaprima.lab.lora.lora_file import make_lora
from allaprima.lab.lora.trainable_lora import denoiser_of
from allaprima.paint.contract.base import Base
from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.update import LowRank
from allaprima.paint.pipeline.prompt_cache import join_prompts
from allaprima.paint.sampling.guidance import needs_negative

SHEET = "sheet.png"
SEEDS = (1, 2)
"""Of the pictures of each prompt."""
_SAMPLE = "sample-*.png"


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Prompts to watch a training by, encoded before the text encoder is let go."""

    texts: PromptTexts
    steps: int
    guidance: float
    size: tuple[int, int]

    def paint(self, base: Base, updates: Mapping[str, LowRank], folder: Path, step: int) -> None:
        """Write `sample-STEP.png`, the pictures side by side, and `sheet.png`, all samples so far."""
        root, network = denoiser_of(base)
        rack = Rack({root: network}, keep_addresses=False)
        rack.register(make_lora("sample", root, updates))
        rack.set_adapters({"sample": 1.0})
        try:
            pictures = self._pictures(base)
        finally:
            rack.set_adapters({})
        folder.mkdir(parents=True, exist_ok=True)
        _side_by_side(pictures).save(folder / f"sample-{step:07d}.png")
        _below_each_other(sorted(folder.glob(_SAMPLE))).save(folder / SHEET)

    def _pictures(self, base: Base) -> Tensor:
        """Return the pictures (B, 3, H, W), prompt by prompt."""
        device = next(denoiser_of(base)[1].parameters()).device
        numbers = [number for number in range(len(self.texts)) for _ in SEEDS]
        prompts = self.texts.take(numbers)
        if needs_negative(base, self.guidance):
            prompts = join_prompts([prompts, self.texts.empty(len(numbers))])
        seeds = [seed for _ in range(len(self.texts)) for seed in SEEDS]
        schedule = base.schedule(self.steps, *self.size)
        return paint_encoded(
            base, to_device(prompts, device), len(numbers), seeds, schedule, self.guidance, self.size
        )


def make_sheet(base: Base, prompts: Sequence[str], size: tuple[int, int]) -> Sheet:
    """Return a sheet of these prompts, painted in the base's own steps and with its own guidance."""
    texts, _ = encode_captions(base, prompts)
    return Sheet(texts=texts, steps=base.defaults.steps, guidance=base.defaults.guidance, size=size)


def _side_by_side(pictures: Tensor) -> Image.Image:
    row = torch.cat(list(pictures.nan_to_num()), dim=2)
    return Image.fromarray(
        np.ascontiguousarray(row.mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy())
    )


def _below_each_other(samples: Sequence[Path]) -> Image.Image:
    rows = [Image.open(path) for path in samples]
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)))
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet
