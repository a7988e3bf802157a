"""Diffusers' schedulers as solvers: the same numbers as a plain loop over them, whatever the company."""

from __future__ import annotations

import json
from typing import Any

import diffusers
import pytest
import torch

from allaprima.paint.bases.sdxl.scheduling import CLASSES
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.sampling.noise import seeded_noise
from allaprima.paint.sampling.samplers import sample_steps
from allaprima.paint.sampling.solver import solver_schedule

# numpy asks torch for arrays in ways that diffusers' schedulers do not answer yet.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SHAPE = (4, 4, 4)
NAMES = [name for name in CLASSES if name != "LMSDiscreteScheduler"]


def model(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x + t[:, None, None, None] / 1000)


def solve(name: str, seeds: list[int], steps: int = 5, **settings: Any) -> torch.Tensor:
    schedule = solver_schedule(name, json.dumps(BETAS | settings), steps=steps, kind=CLASSES[name].kind)
    *_, last = sample_steps(model, seeded_noise(seeds, SHAPE), schedule, "epsilon", seeds)
    assert last.index == len(schedule)
    assert last.latents.isfinite().all()
    assert last.clean.isfinite().all()
    return last.latents


@pytest.mark.parametrize("name", NAMES)
def test_a_solver_steps_as_stock_pipelines_step(name: str) -> None:
    scheduler = getattr(diffusers, name).from_config(BETAS)
    scheduler.set_timesteps(5)
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(1, *SHAPE, generator=generator) * scheduler.init_noise_sigma
    options: dict[str, Any] = (
        {"generator": generator} if "generator" in scheduler.step.__code__.co_varnames else {}
    )
    if name == "TCDScheduler":
        options["eta"] = 0.0
    for time in scheduler.timesteps:
        told = torch.full((1,), float(time))
        x = scheduler.step(model(scheduler.scale_model_input(x, time), told), time, x, **options).prev_sample
    torch.testing.assert_close(solve(name, [7]), x)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_does_not_depend_on_its_company(name: str) -> None:
    torch.testing.assert_close(solve(name, [3, 7])[1:], solve(name, [7]))


def test_levels_for_samplers_of_ours_fall() -> None:
    for name in NAMES:
        own = solver_schedule(name, json.dumps(BETAS), steps=6, kind=CLASSES[name].kind)
        plain = own.without_solver()
        assert plain.solver is None
        assert isinstance(plain, Schedule)
        assert 5 <= len(plain) <= len(own)
        assert plain.sigmas[0] == own.sigmas[0]
    euler = plain
    assert euler.without_solver() is euler
