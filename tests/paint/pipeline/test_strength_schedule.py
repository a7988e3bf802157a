"""Every number of steps begins at the level that a strength means, on every base's curve."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.tiny import SteadyBase

from allaprima.core.init_image import InitImage
from allaprima.paint.bases.qwen_image.base import SCHEDULES as QWEN_SCHEDULES
from allaprima.paint.bases.sdxl.scheduling import SCHEDULES, read_scheduler
from allaprima.paint.contract.schedule import Schedule, flow_schedule, flow_sigmas
from allaprima.paint.pipeline.pipeline import Pipeline
from allaprima.paint.pipeline.strength_schedule import CURVE_STEPS, schedule_from

STRENGTHS = (0.0, 0.013, 0.3, 0.5, 0.77, 0.9, 0.999)
SDXL = read_scheduler({"_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear"})


def curves() -> dict[str, Schedule]:
    return {
        "flow": flow_schedule(flow_sigmas(CURVE_STEPS, 2.0)),
        **{str(name): SDXL.schedule(CURVE_STEPS, name) for name in (None, *SCHEDULES)},
        **{name: schedule(CURVE_STEPS) for name, schedule in QWEN_SCHEDULES.items()},
    }


@pytest.mark.parametrize("curve", curves().values(), ids=curves())
def test_one_two_and_more_steps_begin_alike_and_fall_to_the_picture(curve: Schedule) -> None:
    for strength in STRENGTHS:
        several = [schedule_from(curve, strength, steps) for steps in (1, 2, 4, 8)]
        assert [len(one) for one in several] == [1, 2, 4, 8]
        assert len({(one.sigmas[0], one.times[0], one.noise_scale) for one in several}) == 1
        assert several[0].sampler == curve.sampler
        assert all(later <= earlier for one in several for earlier, later in pairwise(one.times))


@pytest.mark.parametrize("curve", curves().values(), ids=curves())
def test_a_greater_strength_begins_at_more_noise(curve: Schedule) -> None:
    levels = [schedule_from(curve, strength, 1).sigmas[0] for strength in STRENGTHS]
    assert levels == sorted(levels)
    assert levels[0] > 0.0
    assert levels[-1] <= curve.sigmas[0]


def test_levels_lie_where_the_base_itself_has_them() -> None:
    """Half of the way in two steps is what the base's own four steps end with."""
    curve, own = flow_schedule(flow_sigmas(CURVE_STEPS)), flow_schedule(flow_sigmas(4))
    assert schedule_from(curve, 0.5, 2).sigmas == pytest.approx(own.sigmas[2:])
    assert schedule_from(curve, 1.0, 4).times == pytest.approx(own.times)


def test_a_time_between_two_is_told_where_it_lies() -> None:
    curve = Schedule(
        sigmas=(10.0, 4.0, 0.0), times=(900.0, 300.0), kind="variance_exploding", noise_scale=10.0
    )
    half = schedule_from(curve, 0.75, 1)
    assert (half.sigmas, half.times, half.noise_scale) == ((7.0, 0.0), (600.0,), 1.0)


@pytest.mark.parametrize(("steps", "strength"), [(1, 0.0), (1, 0.3), (1, 0.9), (4, 0.0), (4, 0.2)])
def test_less_than_a_step_is_one_from_the_level_of_the_strength(steps: int, strength: float) -> None:
    """One step over a picture was one from noise alone, which forgot it at any strength."""
    pipeline = Pipeline(base=SteadyBase())
    image = InitImage(width=128, height=64, rgb=bytes(3 * 128 * 64), strength=strength)
    begun = pipeline.schedule(steps, 128, 64, init_image=image)
    assert len(begun) == 1
    assert begun.sigmas == schedule_from(pipeline.schedule(CURVE_STEPS, 128, 64), strength, 1).sigmas
    assert begun.sigmas[0] < pipeline.schedule(steps, 128, 64).sigmas[-2]


def test_the_pipeline_begins_there_for_images_that_ask_for_full_steps() -> None:
    pipeline = Pipeline(base=SteadyBase())
    size = (128, 64)
    asks = InitImage(width=128, height=64, rgb=bytes(3 * 128 * 64), strength=0.5, full_steps=True)
    shares = InitImage(width=128, height=64, rgb=bytes(3 * 128 * 64), strength=0.5)
    own = pipeline.schedule(2, *size)
    assert pipeline.schedule(2, *size, init_image=shares) == own
    started = pipeline.schedule(2, *size, init_image=asks)
    assert started.sigmas[0] == pytest.approx(0.75)  # a shift of 3 at half the way
    whole = InitImage(width=128, height=64, rgb=bytes(3 * 128 * 64), strength=1.0, full_steps=True)
    assert pipeline.schedule(2, *size, init_image=whole) == own
