"""Painting over a picture (img2img): the sampler begins part of the way, from the picture with noise on it.

The rule is SDEdit's (Meng et al. 2022, arXiv:2108.01073): mix the clean latents with noise as the schedule does
at one of its levels, and follow the schedule from there. How many of the steps are left is the strength.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from allaprima.core.errors import RequestError
from allaprima.core.init_image import InitImage
from allaprima.paint.contract.base import Base
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.sampling.process import process_of


def start_from_image(
    base: Base, init_image: InitImage, noise: torch.Tensor, schedule: Schedule, *, width: int, height: int
) -> tuple[Schedule, torch.Tensor]:
    """Return the rest of `schedule` and the latents to begin it with, in place of noise.

    Args:
        base: encodes the picture.
        init_image: the picture; it has the size that is painted.
        noise: (B, C, h, w) standard normal, a row per seed.
        schedule: the whole way from noise.
        width: pixels that are painted.
        height: pixels that are painted.

    Raises:
        RequestError: the init image has another size.
    """
    check_init_size(init_image, width, height)
    first = first_step(len(schedule), init_image.strength)
    if schedule.solver is not None:
        first -= first % schedule.solver.order
    if init_image.strength == 1.0:
        return schedule, noise
    sigma = schedule.sigmas[first]
    clean = base.encode(to_pixels(init_image)).float().to(noise.device)
    process = process_of(schedule.kind, base.prediction)
    # What `sample_steps` is given is taken as the latents themselves, for nothing scales them any more.
    rest = replace(schedule, sigmas=schedule.sigmas[first:], times=schedule.times[first:], noise_scale=1.0)
    return rest, process.mix(clean, noise.float(), sigma)


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
