"""The way from noise to picture: along any levels, by Euler's rule or by noising anew.

The rule a student is trained with is the rule it paints with: "straight" is the base's own sampler (Euler; DDIM
for SDXL), "renoise" draws fresh noise after every step, as consistency models do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from allaprima.paint.sampling.process import Process

StepRule = Literal["straight", "renoise"]
NetworkAnswer = Callable[[Tensor, Tensor], Tensor]
"""(x, t) to what a network answers."""


def at(time: float, like: Tensor) -> Tensor:
    """A time for every row, (B,)."""
    return torch.full((len(like),), time, device=like.device)


def walk(
    process: Process,
    answer: NetworkAnswer,
    x: Tensor,
    levels: Sequence[float],
    rule: StepRule = "straight",
    fresh: Callable[[], Tensor] | None = None,
) -> Iterator[Tensor]:
    """Yield the latents after every step.

    Args:
        process: how picture and noise mix.
        answer: the network, guidance and all.
        x: (B, C, h, w) at the first of the levels.
        levels: falling times.
        rule: how to take a step.
        fresh: returns new noise shaped like `x`, for the rule "renoise".
    """
    for time, after in pairwise(levels):
        x = stride(process, answer(x, at(time, x)), x, time, after, rule, fresh)
        yield x


def stride(
    process: Process,
    answered: Tensor,
    x: Tensor,
    time: float,
    after: float,
    rule: StepRule = "straight",
    fresh: Callable[[], Tensor] | None = None,
) -> Tensor:
    """One step of a walk."""
    t, t_after = at(time, x), at(after, x)
    if rule == "straight" or after == process.end:
        return process.step(x, t, t_after, answered)
    if fresh is None:
        raise ValueError("got the rule 'renoise' without fresh noise; expected a source of it")
    return process.mix(process.clean(x, t, answered), fresh(), t_after)


def arrive(
    process: Process,
    answer: NetworkAnswer,
    x: Tensor,
    levels: Sequence[float],
    rule: StepRule = "straight",
    fresh: Callable[[], Tensor] | None = None,
) -> Tensor:
    """The latents at the end of a walk."""
    for latents in walk(process, answer, x, levels, rule, fresh):
        x = latents
    return x
