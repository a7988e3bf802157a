"""The Euler sampler of flow matching: straight steps along the velocity.

The model is any function of the latents and a time per row; for a constant velocity the result is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

Model = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(latents (B, ...), times (B,) in [0, 1]) -> d latents / d t, shaped like the latents."""


@dataclass(frozen=True, kw_only=True)
class SamplerStep:
    """Where the sampler stands after a step."""

    index: int
    """1 after the first step."""
    latents: torch.Tensor
    """(B, ...) float32 at the noise level reached."""
    clean: torch.Tensor
    """(B, ...) float32, where the step's velocity leads if followed down to t = 0: a preview."""


def euler_steps(
    model: Model, x: torch.Tensor, sigmas: Sequence[float], times: Sequence[float] | None = None
) -> Iterator[SamplerStep]:
    """Yield each step of the way from `sigmas[0]` to `sigmas[-1]`; stop iterating to cancel.

    The latents are kept in float32 whatever the model computes in, for fifty roundings to bf16 would add up.
    `x` is not changed.

    Args:
        model: the velocity to follow.
        x: (B, ...) latents at noise level `sigmas[0]`.
        sigmas: falling noise levels.
        times: what the model is told at each level but the last; None for the level itself.
    """
    latents = x.float()
    levels = zip(pairwise(sigmas), sigmas if times is None else times, strict=False)
    for index, ((t, t_next), time) in enumerate(levels, start=1):
        velocity = model(latents, latents.new_full((len(latents),), time)).float()
        clean = latents - t * velocity
        latents = latents + (t_next - t) * velocity
        yield SamplerStep(index=index, latents=latents, clean=clean)


def sample_euler(
    model: Model,
    x: torch.Tensor,
    sigmas: Sequence[float],
    on_step: Callable[[SamplerStep], None] | None = None,
) -> torch.Tensor:
    """Return the latents at the last of `sigmas`, calling `on_step` after each step.

    Args:
        model: the velocity to follow.
        x: (B, ...) latents at noise level `sigmas[0]`; not changed.
        sigmas: falling noise levels, see `flow_sigmas`.
        on_step: called with each step taken.
    """
    latents = x.float()
    for step in euler_steps(model, x, sigmas):
        latents = step.latents
        if on_step is not None:
            on_step(step)
    return latents
