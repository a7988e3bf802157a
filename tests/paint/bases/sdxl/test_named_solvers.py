"""The rules of published accelerators against diffusers' schedulers, called as their authors call them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    TCDScheduler,
)

from allaprima.core.errors import RequestError
from allaprima.paint.bases.sdxl.named_solvers import NAMED_SOLVERS
from allaprima.paint.bases.sdxl.published import SCHEDULER
from allaprima.paint.bases.sdxl.scheduling import read_scheduler
from allaprima.paint.sampling.noise import seeded_noise
from allaprima.paint.sampling.samplers import sample_steps

# numpy asks torch for arrays in ways that diffusers' schedulers do not answer yet.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

OF_SDXL: dict[str, Any] = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False,
    "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "timestep_spacing": "leading",
    "interpolation_type": "linear", "sample_max_value": 1.0, "use_karras_sigmas": False,
}  # fmt: skip
"""The published scheduler_config.json, from which the authors' lines make every scheduler."""
SHAPE, SEED = (4, 8, 8), 7

CASES: list[tuple[str, int, type, dict[str, Any], dict[str, Any], list[int] | None]] = [
    ("trailing", 2, EulerDiscreteScheduler, {"timestep_spacing": "trailing"}, {}, None),
    ("trailing", 4, EulerDiscreteScheduler, {"timestep_spacing": "trailing"}, {}, None),
    ("trailing", 8, EulerDiscreteScheduler, {"timestep_spacing": "trailing"}, {}, None),
    ("turbo", 4, EulerAncestralDiscreteScheduler, {"timestep_spacing": "trailing"}, {}, None),
    ("ddim", 1, DDIMScheduler, {"timestep_spacing": "trailing"}, {"eta": 0.0}, None),
    ("ddim", 2, DDIMScheduler, {"timestep_spacing": "trailing"}, {"eta": 0.0}, None),
    ("ddim", 8, DDIMScheduler, {"timestep_spacing": "trailing"}, {"eta": 0.0}, None),
    ("tcd", 4, TCDScheduler, {}, {"eta": 0.3}, None),
    ("tcd-full-noise", 1, TCDScheduler, {}, {"eta": 1.0}, None),
    ("tcd-full-noise", 5, TCDScheduler, {}, {"eta": 1.0}, None),
    ("lcm", 4, LCMScheduler, {}, {}, None),
    ("dmd2", 4, LCMScheduler, {}, {}, [999, 749, 499, 249]),
]


def model(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x + t[:, None, None, None] / 1000)


def stock(scheduler: Any, steps: int, options: dict[str, Any], times: list[int] | None) -> torch.Tensor:
    """Paint as SDXL's pipeline does: one generator for the latents and for what a step draws."""
    if times is None:
        scheduler.set_timesteps(steps)
    else:
        scheduler.set_timesteps(timesteps=times)
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn(1, *SHAPE, generator=generator) * scheduler.init_noise_sigma
    if "generator" in scheduler.step.__code__.co_varnames:
        options = {**options, "generator": generator}
    for time in scheduler.timesteps:
        predicted = model(scheduler.scale_model_input(x, time), torch.full((1,), float(time)))
        x = scheduler.step(predicted, time, x, **options).prev_sample
    assert isinstance(x, torch.Tensor)
    return x


@pytest.mark.parametrize(("name", "steps", "kind", "settings", "options", "times"), CASES)
def test_a_named_schedule_paints_as_its_authors_do(
    name: str,
    steps: int,
    kind: Any,
    settings: dict[str, Any],
    options: dict[str, Any],
    times: list[int] | None,
) -> None:
    schedule = read_scheduler(SCHEDULER).schedule(steps, name)
    *_, last = sample_steps(model, seeded_noise([SEED], SHAPE), schedule, "epsilon", [SEED])
    expected = stock(kind.from_config({**OF_SDXL, **settings}), steps, options, times)
    assert len(schedule) == steps
    torch.testing.assert_close(last.latents, expected, rtol=1e-4, atol=1e-4)


def test_lcm_at_given_times() -> None:
    assert read_scheduler(SCHEDULER).schedule(4, "dmd2").times == (999.0, 749.0, 499.0, 249.0)


def test_a_checkpoint_that_predicts_v_is_solved_by_its_v() -> None:
    for name in NAMED_SOLVERS:
        schedule = read_scheduler({**SCHEDULER, "prediction_type": "v_prediction"}).schedule(4, name)
        assert schedule.solver is not None
        assert '"prediction_type": "v_prediction"' in schedule.solver.settings


def test_steps_that_a_named_solver_cannot_take_are_refused() -> None:
    with pytest.raises(RequestError, match="got 60 steps, which TCDScheduler cannot take"):
        read_scheduler(SCHEDULER).schedule(60, "tcd")
