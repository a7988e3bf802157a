"""From noise to a picture along a schedule: one place where a schedule's name meets its rule.

    for step in sample_steps(model, base.noise(seeds, w, h), schedule, base.prediction, seeds): ...

A rule is a generator of steps. It knows what the schedule and the prediction declare, and nothing of the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch

from allaprima.core.errors import PaintError
from allaprima.paint.bases.base import Prediction
from allaprima.paint.sampling.euler import EulerStep, Velocity, euler_steps
from allaprima.paint.sampling.schedules import Schedule

Rule = Callable[[Velocity, torch.Tensor, Schedule, Prediction, Sequence[int]], Iterator[EulerStep]]
"""(model, standard normal noise (B, ...), schedule, prediction, B seeds) -> the steps.

Rules that draw fresh noise at each step take it from the seeds, so that a picture does not depend on its company.
"""


def sample_steps(
    model: Velocity, noise: torch.Tensor, schedule: Schedule, prediction: Prediction, seeds: Sequence[int]
) -> Iterator[EulerStep]:
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
    if schedule.sampler not in SAMPLERS:
        raise PaintError(f"got the sampler {schedule.sampler!r}; expected {' or '.join(SAMPLERS)}")
    if (schedule.kind == "flow") != (prediction == "flow"):
        raise PaintError(
            f"the model predicts {prediction}, which a schedule of kind {schedule.kind} cannot follow"
        )
    return SAMPLERS[schedule.sampler](model, noise, schedule, prediction, seeds)


def _euler(
    model: Velocity, noise: torch.Tensor, schedule: Schedule, prediction: Prediction, seeds: Sequence[int]
) -> Iterator[EulerStep]:
    del seeds
    latents = noise.float() * schedule.noise_scale
    if schedule.kind == "flow":
        return euler_steps(model, latents, schedule.sigmas, schedule.times)
    return _exploding_euler_steps(model, latents, schedule, prediction)


def _exploding_euler_steps(
    model: Velocity, latents: torch.Tensor, schedule: Schedule, prediction: Prediction
) -> Iterator[EulerStep]:
    """Euler's method on d x / d sigma = (x - x_0) / sigma (Karras et al. 2022, algorithm 1 without churn)."""
    levels = zip(pairwise(schedule.sigmas), schedule.times, strict=True)
    for index, ((sigma, after), time) in enumerate(levels, start=1):
        clean = clean_latents(model, latents, sigma, time, prediction)
        latents = latents + (after - sigma) * ((latents - clean) / sigma)
        yield EulerStep(index=index, latents=latents, clean=clean)


def clean_latents(
    model: Velocity, latents: torch.Tensor, sigma: float, time: float, prediction: Prediction
) -> torch.Tensor:
    """Return the picture's latents as the model sees them in variance-exploding `latents` at level `sigma`.

    The model is shown latents of variance 1, x / sqrt(sigma^2 + 1), which is what it was trained on.
    """
    norm = math.sqrt(sigma * sigma + 1.0)
    predicted = model(latents / norm, latents.new_full((len(latents),), time)).float()
    if prediction == "epsilon":
        return latents - sigma * predicted
    return latents / (norm * norm) - predicted * (sigma / norm)  # v (Salimans and Ho 2022, arXiv:2202.00512)


SAMPLERS: dict[str, Rule] = {"euler": _euler}
"""Name of a rule, as schedules give it, to the rule."""
