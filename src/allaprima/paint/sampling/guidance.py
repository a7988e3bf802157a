"""Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598)."""

from __future__ import annotations

import torch

from allaprima.paint.bases.base import Base, TextStates
from allaprima.paint.sampling.euler import Velocity


def guide(cond: torch.Tensor, uncond: torch.Tensor, scale: float) -> torch.Tensor:
    """Return the prediction led from `uncond` through `cond`: 1 is `cond` itself, 0 is `uncond`."""
    return uncond + scale * (cond - uncond)


def guided(base: Base, text: TextStates, scale: float) -> Velocity:
    """Return `base`'s prediction under guidance as a function of latents and times.

    Args:
        base: the model; both predictions come from one batched pass through it.
        text: B prompts, then, unless `scale` is 1, the B negative prompts.
        scale: the guidance; at 1 the negative prompts are not needed and half the work is saved.
    """
    if scale == 1.0:
        return lambda latents, t: base.predict(latents, t, text)

    def both(latents: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        prediction = base.predict(torch.cat([latents, latents]), torch.cat([t, t]), text)
        cond, uncond = prediction.chunk(2)
        return guide(cond.float(), uncond.float(), scale)

    return both
