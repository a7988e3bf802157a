"""Painting many prompts in batches: the sampler of `prima paint`, but pictures share each pass through the model.

That makes a thousand pictures affordable, and lets their last bits depend on the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from allaprima.paint.contract.base import Base, TextStates
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.layout.completion import painted_layout
from allaprima.paint.pipeline.denoise import DenoiseBatch, DenoiseRow
from allaprima.paint.pipeline.overflow_guard import OverflowGuard
from allaprima.paint.sampling.guidance import needs_negative


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
    schedule = base.schedule(settings.steps, base.defaults.width, base.defaults.height)
    for start in range(0, len(prompts), settings.batch):
        chosen = slice(start, start + settings.batch)
        yield paint_prompts(base, prompts[chosen], seeds[chosen], schedule, settings.guidance)


@torch.inference_mode()
def paint_prompts(
    base: Base, prompts: Sequence[str], seeds: Sequence[int], schedule: Schedule, guidance: float
) -> Tensor:
    """Return the pictures of `prompts`, painted in one batch, as `paint_batches` does.

    A base that reads layouts is told those that the seeds complete, as it is wherever people paint.
    """
    width, height = size = base.defaults.width, base.defaults.height
    empty = [""] * len(prompts) if needs_negative(base, guidance) else []
    text = base.encode_text([*prompts, *empty])
    if base.reads_layout:
        told = [painted_layout((), prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        maps = base.draw_layouts(told, width, height)
        text = replace(text, layout=maps.repeat(len(text) // len(prompts), 1, 1, 1))
    return paint_encoded(base, text, len(prompts), seeds, schedule, guidance, size)


@torch.inference_mode()
def paint_encoded(
    base: Base,
    text: TextStates,
    count: int,
    seeds: Sequence[int],
    schedule: Schedule,
    guidance: float,
    size: tuple[int, int],
) -> Tensor:
    """Return pictures of prompts that were encoded before, painted in one batch, as `paint_batches` does.

    Args:
        base: its text encoders are not asked.
        text: `count` prompts, and behind them as many negative ones, where guidance needs those.
        count: of pictures.
        seeds: one a picture.
        schedule: what all follow.
        guidance: of all.
        size: width and height in pixels.
    """
    width, height = size
    guides = needs_negative(base, guidance)
    rows = [
        DenoiseRow(
            prompt=text.rows([row]),
            negative=text.rows([count + row]) if guides else None,
            seed=seed,
            layout=None if text.layout is None else text.layout[row : row + 1],
        )
        for row, seed in enumerate(seeds)
    ]
    # Not guarded: a number format that overflows is what an evaluation wants to see.
    guard = OverflowGuard(base, active=False, strict=False)
    batch = DenoiseBatch(guard, rows, width=width, height=height, schedule=schedule, guidance=guidance)
    while batch.left:
        batch.step()
    pixels = base.decode(batch.latents).float().cpu()
    levels = pixels.clamp(0, 1).mul(255).round().div(255)
    return torch.where(pixels.isfinite(), levels, torch.nan)
