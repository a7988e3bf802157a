"""From noise to a picture along a schedule: one place where a schedule's name meets its rule.

    for step in sample_steps(model, base.noise(seeds, w, h), schedule, base.prediction, seeds): ...

A rule is a generator of steps. It knows what the schedule and the prediction declare, and nothing of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch

from allaprima.core.errors import PaintError
from allaprima.paint.contract.base import Prediction
from allaprima.paint.contract.schedule import ProcessKind, Schedule
from allaprima.paint.sampling.euler import Model, SamplerStep, euler_steps
from allaprima.paint.sampling.noise import noise_stream
from allaprima.paint.sampling.variance_exploding import exploding_ancestral, exploding_euler, exploding_lcm

Sampler = Callable[[Model, torch.Tensor, Schedule, Prediction, Sequence[int]], Iterator[SamplerStep]]
"""(model, standard normal noise (B, ...), schedule, prediction, B seeds) -> the steps.

Rules that draw fresh noise at each step take it from the seeds, so that a picture does not depend on its company.
"""


def sample_steps(
    model: Model, noise: torch.Tensor, schedule: Schedule, prediction: Prediction, seeds: Sequence[int]
) -> Iterator[SamplerStep]:
    """Yield each step of `schedule`; stop iterating to cancel.

    Args:
        model: (latents, times) to a prediction, guidance included.
        noise: (B, ...) standard normal; not changed.
        schedule: which levels to visit and by which rule.
        prediction: what the model returns.
        seeds: B seeds, those `noise` was drawn from.

    Raises:
        PaintError: no such rule, or the model's prediction is not of the schedule's kind.
    """
    rule = SAMPLERS.get((schedule.sampler, schedule.kind))
    if rule is None:
        known = " or ".join(f"{sampler} ({kind})" for sampler, kind in SAMPLERS)
        raise PaintError(
            f"got the sampler {schedule.sampler!r} for a {schedule.kind} schedule; expected {known}"
        )
    if (schedule.kind == "flow") != (prediction == "flow"):
        raise PaintError(
            f"the model predicts {prediction}, which a schedule of kind {schedule.kind} cannot follow"
        )
    return rule(model, noise, schedule, prediction, seeds)


def _flow_euler(
    model: Model, noise: torch.Tensor, schedule: Schedule, prediction: Prediction, seeds: Sequence[int]
) -> Iterator[SamplerStep]:
    del prediction, seeds
    return euler_steps(model, noise.float() * schedule.noise_scale, schedule.sigmas, schedule.times)


def _flow_lcm(
    model: Model, noise: torch.Tensor, schedule: Schedule, prediction: Prediction, seeds: Sequence[int]
) -> Iterator[SamplerStep]:
    """Jump to the picture, mix in fresh noise of the next level, jump again (arXiv:2303.01469, algorithm 1)."""
    del prediction
    fresh = noise_stream(seeds, noise.shape[1:], noise.device)
    next(fresh)  # what `noise` was drawn from
    latents = noise.float() * schedule.noise_scale
    levels = zip(pairwise(schedule.sigmas), schedule.times, strict=True)
    for index, ((sigma, after), time) in enumerate(levels, start=1):
        velocity = model(latents, latents.new_full((len(latents),), time)).float()
        clean = latents - sigma * velocity
        latents = (1 - after) * clean + after * next(fresh) if after > 0.0 else clean
        yield SamplerStep(index=index, latents=latents, clean=clean)


SAMPLERS: dict[tuple[str, ProcessKind], Sampler] = {
    ("euler", "flow"): _flow_euler,
    ("lcm", "flow"): _flow_lcm,
    ("euler", "variance_exploding"): exploding_euler,
    ("ancestral", "variance_exploding"): exploding_ancestral,
    ("lcm", "variance_exploding"): exploding_lcm,
}
"""Name and kind of a schedule to the rule that follows it."""
