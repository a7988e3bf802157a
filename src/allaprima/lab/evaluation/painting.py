"""Painting many prompts in batches: the sampler of `prima paint`, but pictures share each pass through the model.

That makes a thousand pictures affordable, and lets their last bits depend on the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from allaprima.paint.contract.base import Base
from allaprima.paint.sampling.guidance import guided
from allaprima.paint.sampling.samplers import sample_steps


@dataclass(frozen=True, kw_only=True)
class PaintSettings:
    """How the pictures of an evaluation are painted."""

    steps: int = 50
    guidance: float = 4.0
    batch: int = 16
    """Pictures that share a pass; results differ in their last bits from batch size to batch size."""


def paint_batches(
    base: Base, prompts: Sequence[str], seeds: Sequence[int], settings: PaintSettings
) -> Iterator[Tensor]:
    """Yield the pictures of `prompts` batch by batch, (b, 3, H, W) in [0, 1] rounded to 8 bits, on the CPU.

    Values that are not finite come out as NaN: it is for the caller to count them.
    """
    for start in range(0, len(prompts), settings.batch):
        chosen = slice(start, start + settings.batch)
        yield _paint(base, prompts[chosen], seeds[chosen], settings)


@torch.inference_mode()
def _paint(base: Base, prompts: Sequence[str], seeds: Sequence[int], settings: PaintSettings) -> Tensor:
    width, height = base.defaults.width, base.defaults.height
    against = [] if settings.guidance == 1.0 else [""] * len(prompts)
    text = base.encode_text([*prompts, *against])
    model = guided(base, text, settings.guidance)
    latents = base.noise(seeds, width, height)
    schedule = base.schedule(settings.steps, width, height)
    for step in sample_steps(model, latents, schedule, base.prediction, seeds):
        latents = step.latents
    pixels = base.decode(latents).float().cpu()
    levels = pixels.clamp(0, 1).mul(255).round().div(255)
    return torch.where(pixels.isfinite(), levels, torch.nan)
