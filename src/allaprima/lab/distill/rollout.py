"""The way from noise to picture: along any timesteps, by Euler's step or by noising anew.

A student paints by the sampler it was trained with: "euler" is the base's own (DDIM for SDXL), "lcm" mixes in fresh
noise after every step, as consistency models do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from allaprima.paint.sampling.process import TrainingProcess
from allaprima.paint.sampling.samplers import Model

StudentSampler = Literal["euler", "lcm"]
FreshNoise = Callable[[], Tensor]
"""Returns new noise shaped like the latents."""


def at(time: float, like: Tensor) -> Tensor:
    """Return a time for every row, (B,)."""
    return torch.full((len(like),), time, device=like.device)


def walk(
    process: TrainingProcess,
    model: Model,
    x: Tensor,
    timesteps: Sequence[float],
    sampler: StudentSampler = "euler",
    fresh: FreshNoise | None = None,
) -> Iterator[Tensor]:
    """Yield the latents after every step.

    Args:
        x: (B, C, h, w) at the first of the timesteps.
        timesteps: falling times.
        fresh: the noise of the sampler "lcm".
    """
    for time, after in pairwise(timesteps):
        t, t_after = at(time, x), at(after, x)
        predicted = model(x, t)
        if sampler == "euler" or after == process.end:
            x = process.step(x, t, t_after, predicted)
        elif fresh is None:
            raise ValueError("got the sampler 'lcm' without fresh noise; expected a source of it")
        else:
            x = process.mix(process.clean(x, t, predicted), fresh(), t_after)
        yield x


def rollout(
    process: TrainingProcess,
    model: Model,
    x: Tensor,
    timesteps: Sequence[float],
    sampler: StudentSampler = "euler",
    fresh: FreshNoise | None = None,
) -> Tensor:
    """Return the latents at the end of :func:`walk`."""
    for latents in walk(process, model, x, timesteps, sampler, fresh):
        x = latents
    return x
