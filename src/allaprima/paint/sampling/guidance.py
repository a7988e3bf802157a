"""Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from allaprima.core.request import GenerationRequest
from allaprima.paint.contract.base import Base, GuidanceRule, TextStates
from allaprima.paint.sampling.samplers import Model


def guide(cond: torch.Tensor, uncond: torch.Tensor, scale: float) -> torch.Tensor:
    """Return the prediction led from `uncond` through `cond`: 1 is `cond` itself, 0 is `uncond`."""
    return uncond + scale * (cond - uncond)


def guide_rescaled(cond: torch.Tensor, uncond: torch.Tensor, scale: float) -> torch.Tensor:
    """Return `guide`'s prediction with the norm over the channels (dimension 1) that `cond` has.

    Qwen-Image's true guidance: strong guidance lengthens the prediction and so burns colours out; only its
    direction is kept (`QwenImagePipeline` of diffusers, the last step of its loop).
    """
    combined = guide(cond, uncond, scale)
    norm = torch.linalg.vector_norm
    rescaled: torch.Tensor = combined * (
        norm(cond, dim=1, keepdim=True) / norm(combined, dim=1, keepdim=True)
    )
    return rescaled


RULES: dict[GuidanceRule, Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]] = {
    "plain": guide,
    "rescaled": guide_rescaled,
}
"""What a base names to the function that combines its two predictions."""


def effective_guidance(base: Base, scale: float, *, same_text: bool) -> float:
    """Return the guidance that matters: leading away from the prompt itself leads nowhere, and 0 means none.

    Args:
        base: the model; one that is told the guidance is told it whatever the negative prompt.
        same_text: whether prompt and negative prompt are one to the model.
    """
    return scale if base.guidance_rule == "embedded" or (scale > 1.0 and not same_text) else 1.0


def needs_negative(base: Base, scale: float) -> bool:
    """Return whether the negative prompts matter: not up to a scale of 1, nor where the model is told the scale.

    The cards of SDXL-Turbo and Lightning write "no guidance" as 0, and diffusers guides above 1 alone.
    """
    return scale > 1.0 and base.guidance_rule != "embedded"


def remarks_on_guidance(base: Base, request: GenerationRequest) -> tuple[str, ...]:
    """Return, a sentence each, what of the guidance and the negative prompt of `request` counts for nothing."""
    said = []
    told, scale = base.guidance_rule == "embedded", request.guidance
    if 0.0 < scale < 1.0 and not told:
        said.append(f"guidance {scale:g} is none, as 1 is: only guidance above 1 leads away from something")
    if request.negative_prompt and not needs_negative(base, scale):
        why = "for the base is told the guidance itself" if told else "for there is no guidance"
        said.append(f"the negative prompt does nothing, {why}")
    return tuple(said)


def guided(base: Base, text: TextStates, scale: float) -> Model:
    """Return `base`'s prediction under guidance as a function of latents and times.

    Args:
        base: the model; both predictions come from one batched pass through it.
        text: B prompts, then, if `needs_negative`, the B negative prompts.
        scale: the guidance; at 1 the negative prompts are not needed and half the work is saved.
    """
    if not needs_negative(base, scale):
        prompts = replace(text, guidance=scale) if base.guidance_rule == "embedded" else text
        return lambda latents, t: base.predict(latents, t, prompts)
    combine = RULES[base.guidance_rule]

    def both(latents: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        prediction = base.predict(torch.cat([latents, latents]), torch.cat([t, t]), text)
        cond, uncond = prediction.chunk(2)
        return combine(cond.float(), uncond.float(), scale)

    return both
