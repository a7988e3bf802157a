from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st

from allaprima.paint.contract.schedule import Schedule, flow_sigmas


def test_without_shift_the_steps_are_even() -> None:
    assert flow_sigmas(4) == [1.0, 0.75, 0.5, 0.25, 0.0]


@given(st.integers(1, 1000), st.floats(0.1, 10))
def test_levels_fall_from_noise_to_picture(steps: int, shift: float) -> None:
    sigmas = flow_sigmas(steps, shift)
    assert len(sigmas) == steps + 1
    assert math.isclose(sigmas[0], 1.0)
    assert sigmas[-1] == 0.0
    assert all(after < before for before, after in pairwise(sigmas))


def test_the_formula_is_that_of_diffusers() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    evenly = [1.0 - step / 10 for step in range(10)]
    scheduler.set_timesteps(sigmas=evenly)
    torch.testing.assert_close(torch.tensor(flow_sigmas(10, 3.0)), scheduler.sigmas, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("steps", "shift"), [(0, 1.0), (-1, 1.0), (4, 0.0), (4, -1.0), (4, math.nan), (4, math.inf)]
)
def test_what_is_no_schedule_is_refused(steps: int, shift: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        flow_sigmas(steps, shift)


@pytest.mark.parametrize(
    "sigmas", [(1.0, 1.0, 0.0), (1.0, math.nan, 0.0), (math.nan, 0.5, 0.0), (1.0, 0.5, 0.1)]
)
def test_levels_that_do_not_fall_are_refused(sigmas: tuple[float, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"got noise levels that go from .*; expected levels that fall to 0\.0"
    ):
        Schedule(sigmas=sigmas, times=sigmas[:-1])
