"""Painting over a picture (img2img): the sampler begins part of the way, from the picture with noise on it.

The rule is SDEdit's (Meng et al. 2022, arXiv:2108.01073): mix the clean latents with noise as the schedule does
at one of its levels, and follow the schedule from there. How many of the steps are left is the strength.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from allaprima.core.errors import RequestError
from allaprima.core.init_image import InitImage
from allaprima.paint.contract.base import Prediction
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.sampling.process import process_of


def start_from_image(
    clean: torch.Tensor, noise: torch.Tensor, schedule: Schedule, prediction: Prediction, strength: float
) -> tuple[Schedule, torch.Tensor]:
    """Return the rest of `schedule` and the latents to begin it with, in place of noise.

    Args:
        clean: (1, C, h, w) latents of the picture.
        noise: (B, C, h, w) standard normal, a row per seed.
        schedule: the whole way from noise.
        prediction: what the base predicts.
        strength: the share of the schedule that is left; 1 for one that begins where it is to.
    """
    first = first_step(len(schedule), strength)
    if schedule.solver is not None:
        first -= first % schedule.solver.order
    process = process_of(schedule.kind, schedule.prediction or prediction)
    # What `sample_steps` is given is taken as the latents themselves, for nothing scales them any more.
    rest = replace(schedule, sigmas=schedule.sigmas[first:], times=schedule.times[first:], noise_scale=1.0)
    return rest, process.mix(clean, noise.float(), schedule.sigmas[first])


def check_init_size(init_image: InitImage, width: int, height: int) -> None:
    """Refuse an init image of another size than width x height pixels."""
    if (init_image.width, init_image.height) != (width, height):
        raise RequestError(
            f"got {init_image.width}x{init_image.height} to paint over; expected {width}x{height}"
        )


def first_step(steps: int, strength: float) -> int:
    """Return how many of `steps` are left out at `strength`; one at least is taken."""
    return steps - max(1, min(steps, round(steps * strength)))


def to_pixels(init_image: InitImage) -> torch.Tensor:
    """Return the picture as (1, 3, height, width) floats in [0, 1]."""
    rows = torch.frombuffer(bytearray(init_image.rgb), dtype=torch.uint8)
    return rows.view(1, init_image.height, init_image.width, 3).permute(0, 3, 1, 2).float() / 255.0
