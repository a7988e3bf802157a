from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.qwenimage.pipeline_qwenimage import calculate_shift
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny_qwen import LIGHTNING, PUBLISHED

from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.sampling.flow_schedule import FlowSettings, adaptive_cosine_schedule, lightning_schedule

LINEAR = {**PUBLISHED, "time_shift_type": "linear"}
STATIC = {"shift": 3.2, "num_train_timesteps": 1000}


def of_diffusers(config: dict[str, Any], steps: int, tokens: int) -> tuple[list[float], list[float]]:
    """Return levels and times as QwenImagePipeline asks its scheduler for them."""
    scheduler = FlowMatchEulerDiscreteScheduler(**config)
    names = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
    mu = calculate_shift(tokens, *(scheduler.config[name] for name in names))
    # numpy's linspace, there and here, so that not even the last bit differs
    evenly = [1.0 + step * ((1 / steps - 1.0) / (steps - 1)) for step in range(steps - 1)] + [1 / steps]
    scheduler.set_timesteps(sigmas=evenly if steps > 1 else [1.0], mu=mu)
    return scheduler.sigmas.tolist(), (scheduler.timesteps / 1000).tolist()


def settings(config: dict[str, Any]) -> FlowSettings:
    return FlowSettings(**{key: value for key, value in config.items() if key != "num_train_timesteps"})


def is_that_of_diffusers(schedule: Schedule, expected: tuple[list[float], list[float]]) -> bool:
    return (list(schedule.sigmas), list(schedule.times)) == expected


@pytest.mark.parametrize("config", [PUBLISHED, LINEAR, LIGHTNING, STATIC])
@given(steps=st.integers(2, 100), tokens=st.sampled_from([16, 1024, 4096, 6889]))
def test_levels_and_times_are_those_of_diffusers_to_the_last_bit(
    config: dict[str, Any], steps: int, tokens: int
) -> None:
    own = settings(config).schedule(steps, tokens)
    assert is_that_of_diffusers(own, of_diffusers(config, steps, tokens))


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_lightning_is_shift_three_at_every_size(steps: int) -> None:
    own = lightning_schedule(steps)
    assert is_that_of_diffusers(own, of_diffusers(LIGHTNING, steps, 4096))
    assert is_that_of_diffusers(own, of_diffusers(LIGHTNING, steps, 64))
    assert math.isclose(own.sigmas[steps // 2], 0.75 if steps > 1 else 1.0, rel_tol=1e-6)


@pytest.mark.parametrize(("shift", "second"), [(3.0, 0.75), (2.5, 2.5 / 3.5)])
def test_the_two_schedules_that_people_paint_two_steps_with(shift: float, second: float) -> None:
    mu = math.log(shift)
    config = {**LIGHTNING, "base_shift": mu, "max_shift": mu}
    own = settings(config).schedule(2, 4096)
    assert is_that_of_diffusers(own, of_diffusers(config, 2, 4096))
    assert own.sigmas == pytest.approx((1.0, second, 0.0))
    assert (own == lightning_schedule(2)) == (shift == 3.0)


def test_one_step_starts_at_noise_where_diffusers_divides_by_zero() -> None:
    assert settings(PUBLISHED).schedule(1, 4096) == Schedule(sigmas=(1.0, 0.0), times=(1.0,))


@given(st.integers(1, 200))
def test_the_adaptive_cosine_covers_seventy_percent_in_five_steps(steps: int) -> None:
    schedule = adaptive_cosine_schedule(steps)
    assert len(schedule) == steps
    assert schedule.sigmas[0] == 1.0
    assert all(after < before for before, after in pairwise(schedule.sigmas))
    if steps > 5:
        assert math.isclose(schedule.sigmas[5], 0.3, abs_tol=1e-6)
    else:
        assert math.isclose(schedule.sigmas[-2], math.cos(math.pi / 2 * (steps - 1) / steps), abs_tol=1e-6)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"shift": 0.0}, "got a shift of 0.0; expected a positive number"),
        ({**PUBLISHED, "max_image_seq_len": 256}, "got 256 as base_image_seq_len and as max_image_seq_len"),
        ({**PUBLISHED, "shift_terminal": 1.0}, "got a shift_terminal of 1.0; expected 0 or more, below 1"),
        ({**PUBLISHED, "shift_terminal": -0.1}, "got a shift_terminal of -0.1"),
    ],
)
def test_settings_by_which_nothing_falls_are_refused(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        settings(config)


@pytest.mark.parametrize("schedule", [lightning_schedule, settings(PUBLISHED).schedule])
def test_no_steps_are_no_schedule(schedule: Any) -> None:
    with pytest.raises(ValueError, match="got 0 steps; expected at least 1"):
        schedule(0) if schedule is lightning_schedule else schedule(0, 64)
