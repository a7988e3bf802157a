"""Our pictures before rounding, to hold against stock diffusers'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from allaprima.core.request import GenerationRequest
from allaprima.paint.contract.base import Base
from allaprima.paint.sampling.guidance import guided
from allaprima.paint.sampling.samplers import sample_steps

TOLERANCE = 1e-5


@torch.inference_mode()
def our_pictures(
    base: Base, prompts: Sequence[str], request: GenerationRequest, references: Sequence[torch.Tensor] = ()
) -> torch.Tensor:
    """Return the pixels (B, 3, H, W) of `prompts`, from the request's seed and those that follow."""
    against = [] if request.guidance == 1.0 else [request.negative_prompt] * len(prompts)
    text = replace(base.encode_text([*prompts, *against]), references=tuple(references))
    seeds = [request.seed + row for row in range(len(prompts))]
    latents = base.noise(seeds, request.width, request.height)
    schedule = base.schedule(request.steps, request.width, request.height, request.schedule)
    model = guided(base, text, request.guidance)
    for step in sample_steps(model, latents, schedule, base.prediction, seeds):
        latents = step.latents
    return base.decode(latents)


def assert_alike(ours: torch.Tensor, stock: torch.Tensor) -> None:
    """Refuse pixels that differ by more than 1e-5, or that are too flat for likeness to say anything."""
    assert stock.std() > 0.01
    torch.testing.assert_close(ours, stock, atol=TOLERANCE, rtol=0)
