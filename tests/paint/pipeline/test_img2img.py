"""Painting over a picture: nothing at strength 0, everything at 1, and the right amount of noise in between."""

from __future__ import annotations

import pytest
import torch
from tests.tiny import SteadyBase

from allaprima.core.init_image import InitImage
from allaprima.paint.contract.schedule import Schedule, flow_schedule, flow_sigmas
from allaprima.paint.pipeline.img2img import first_step, start_from_image, to_pixels

GREY = InitImage(width=128, height=64, rgb=bytes([128] * 3 * 128 * 64), strength=0.5)
NOISE = torch.randn(2, 3, 8, 16, generator=torch.Generator().manual_seed(0))
CLEAN = SteadyBase().encode(to_pixels(GREY))


@pytest.mark.parametrize(
    ("steps", "strength", "left_out"), [(4, 1.0, 0), (4, 0.5, 2), (4, 0.0, 3), (1, 0.1, 0)]
)
def test_strength_is_the_share_of_steps_taken(steps: int, strength: float, left_out: int) -> None:
    assert first_step(steps, strength) == left_out


def test_flow_mixes_as_its_level_says() -> None:
    schedule = flow_schedule(flow_sigmas(4))
    rest, latents = start_from_image(CLEAN, NOISE, schedule, "flow", 0.5)
    assert rest.sigmas == schedule.sigmas[2:]
    assert rest.times == schedule.times[2:]
    torch.testing.assert_close(latents, 0.5 * CLEAN + 0.5 * NOISE)


def test_exploding_schedules_add_noise_to_the_picture() -> None:
    schedule = Schedule(
        sigmas=(14.0, 3.0, 0.0), times=(999.0, 400.0), kind="variance_exploding", noise_scale=14.0
    )
    rest, latents = start_from_image(CLEAN, NOISE, schedule, "epsilon", 0.5)
    assert rest.noise_scale == 1.0
    torch.testing.assert_close(latents, CLEAN + 3.0 * NOISE)


def test_pixels_are_where_they_were() -> None:
    rgb = bytearray(3 * 128 * 64)
    rgb[3 * (128 * 5 + 7) + 1] = 255
    pixels = to_pixels(InitImage(width=128, height=64, rgb=bytes(rgb)))
    assert pixels.shape == (1, 3, 64, 128)
    assert pixels[0, 1, 5, 7] == 1.0
    assert pixels.sum() == 1.0
