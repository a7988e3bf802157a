"""Rules for variance-exploding latents x_0 + sigma eps: Euler, ancestral Euler and the consistency model's.

The model is shown latents of variance 1, x / sqrt(sigma^2 + 1), which is what it was trained on, and answers with
the noise (epsilon) or with the velocity v of that mixture; either way its idea of x_0 is all a rule needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch

from allaprima.paint.contract.base import Prediction
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.sampling.euler import Model, SamplerStep
from allaprima.paint.sampling.noise import noise_stream

LCM_SHARPNESS = 10.0
"""What the consistency model's time is multiplied by in its boundary condition; all that were published use it."""
_LCM_DATA_VARIANCE = 0.25


def exploding_euler(
    model: Model, noise: torch.Tensor, schedule: Schedule, prediction: Prediction, seeds: Sequence[int]
) -> Iterator[SamplerStep]:
    """Euler's method on d x / d sigma = (x - x_0) / sigma (Karras et al. 2022, algorithm 1 without churn).

    A step keeps the share of the noise that the next level has, which loses no digits where levels are in the
    thousands, as adding the difference of two levels would.
    """
    del seeds
    latents = noise.float() * schedule.noise_scale
    for index, sigma, after, time in _levels(schedule):
        clean = clean_latents(model, latents, sigma, time, prediction)
        latents = clean + (after / sigma) * (latents - clean)
        yield SamplerStep(index=index, latents=latents, clean=clean)


def exploding_ancestral(
    model: Model, noise: torch.Tensor, schedule: Schedule, prediction: Prediction, seeds: Sequence[int]
) -> Iterator[SamplerStep]:
    """Euler's method down to below each level, and fresh noise back up to it, as SDXL-Turbo's own scheduler.

    The fresh noise is what keeps the latents' variance right when the steps are few (k-diffusion,
    `sample_euler_ancestral`). The last step adds none.
    """
    latents, fresh = noise.float() * schedule.noise_scale, _fresh_noise(noise, seeds)
    for index, sigma, after, time in _levels(schedule):
        clean = clean_latents(model, latents, sigma, time, prediction)
        up = math.sqrt(after**2 * (sigma**2 - after**2) / sigma**2)
        down = math.sqrt(after**2 - up**2)
        latents = clean + (down / sigma) * (latents - clean)
        if after > 0.0:
            latents = latents + up * next(fresh)
        yield SamplerStep(index=index, latents=latents, clean=clean)


def exploding_lcm(
    model: Model, noise: torch.Tensor, schedule: Schedule, prediction: Prediction, seeds: Sequence[int]
) -> Iterator[SamplerStep]:
    """Jump to the picture, add fresh noise of the next level, jump again (arXiv:2310.04378, algorithm 3).

    The boundary condition mixes a little of what went in into what came out, so that the model is the identity
    at time 0 (equation 9 there).
    """
    latents, fresh = noise.float() * schedule.noise_scale, _fresh_noise(noise, seeds)
    for index, sigma, after, time in _levels(schedule):
        predicted = clean_latents(model, latents, sigma, time, prediction)
        scaled = time * LCM_SHARPNESS
        skip = _LCM_DATA_VARIANCE / (scaled**2 + _LCM_DATA_VARIANCE)
        out = scaled / math.sqrt(scaled**2 + _LCM_DATA_VARIANCE)
        clean = out * predicted + (skip / math.sqrt(sigma**2 + 1.0)) * latents
        latents = clean + after * next(fresh) if after > 0.0 else clean
        yield SamplerStep(index=index, latents=latents, clean=clean)


def clean_latents(
    model: Model, latents: torch.Tensor, sigma: float, time: float, prediction: Prediction
) -> torch.Tensor:
    """Return the picture's latents as the model sees them in variance-exploding `latents` at level `sigma`."""
    norm = math.sqrt(sigma * sigma + 1.0)
    predicted = model(latents / norm, latents.new_full((len(latents),), time)).float()
    if prediction == "epsilon":
        return latents - sigma * predicted
    return latents / (norm * norm) - predicted * (sigma / norm)  # v (Salimans and Ho 2022, arXiv:2202.00512)


def _levels(schedule: Schedule) -> Iterator[tuple[int, float, float, float]]:
    """Yield step, noise level, the level after it and the time the model is told."""
    for index, ((sigma, after), time) in enumerate(
        zip(pairwise(schedule.sigmas), schedule.times, strict=True), start=1
    ):
        yield index, sigma, after, time


def _fresh_noise(noise: torch.Tensor, seeds: Sequence[int]) -> Iterator[torch.Tensor]:
    stream = noise_stream(seeds, noise.shape[1:], noise.device)
    next(stream)  # that is `noise` itself
    return stream
