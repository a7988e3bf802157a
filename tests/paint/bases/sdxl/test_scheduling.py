"""Our noise levels against diffusers' schedulers, over their settings."""

from __future__ import annotations

import json
from typing import Any

import diffusers
import pytest
import torch
from diffusers import EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, LCMScheduler

from allaprima.core.errors import RequestError, WeightsError
from allaprima.paint.bases.sdxl.scheduling import CLASSES, SCHEDULES, read_scheduler
from allaprima.paint.sampling.discrete_schedule import (
    lcm_times,
)

# numpy asks torch for arrays in ways that diffusers' schedulers do not answer yet.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

EULER = {"_class_name": "EulerDiscreteScheduler"}
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def assert_same(scheduler: Any, steps: int) -> None:
    """Compare levels, times and the first noise with the stock scheduler's."""
    ours = read_scheduler({**scheduler.config, "_class_name": type(scheduler).__name__}).schedule(steps)
    scheduler.set_timesteps(steps)
    assert ours.sigmas == pytest.approx(scheduler.sigmas.tolist(), rel=1e-5)
    assert ours.times == pytest.approx(scheduler.timesteps.tolist(), abs=1e-2)
    assert ours.noise_scale == pytest.approx(float(scheduler.init_noise_sigma), rel=1e-6)


@pytest.mark.parametrize("steps", [1, 4, 30, 37])
@pytest.mark.parametrize(
    "settings",
    [
        {**BETAS, "timestep_spacing": "leading", "steps_offset": 1},
        {**BETAS, "timestep_spacing": "leading"},
        {**BETAS, "timestep_spacing": "trailing"},
        {**BETAS, "timestep_spacing": "linspace"},
        {"beta_schedule": "linear"},
        {"beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "trailing"},
        {**BETAS, "timestep_spacing": "trailing", "rescale_betas_zero_snr": True},
        {**BETAS, "timestep_spacing": "leading", "steps_offset": 1, "use_karras_sigmas": True},
        {**BETAS, "use_karras_sigmas": True, "sigma_min": 0.05, "sigma_max": 10.0},
        {**BETAS, "use_exponential_sigmas": True},
        {"trained_betas": torch.linspace(0.001, 0.02, 1000).tolist()},
    ],
)
def test_euler_levels_are_diffusers(settings: dict[str, Any], steps: int) -> None:
    assert_same(EulerDiscreteScheduler(**settings), steps)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("karras", {"timestep_spacing": "leading", "steps_offset": 1, "use_karras_sigmas": True}),
        ("exponential", {"timestep_spacing": "leading", "steps_offset": 1, "use_exponential_sigmas": True}),
        ("uniform", {"timestep_spacing": "linspace"}),
        ("trailing", {"timestep_spacing": "trailing"}),
    ],
)
def test_named_levels_are_diffusers(name: str, settings: dict[str, Any]) -> None:
    stock = EulerDiscreteScheduler(**BETAS, **settings)
    stock.set_timesteps(20)
    ours = read_scheduler({**EULER, **BETAS}).schedule(20, name)
    assert ours.sigmas == pytest.approx(stock.sigmas.tolist(), rel=1e-5)
    assert ours.times == pytest.approx(stock.timesteps.tolist(), abs=1e-2)


@pytest.mark.parametrize("steps", [1, 4, 37])
def test_ancestral_levels_are_diffusers(steps: int) -> None:
    assert_same(EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="trailing"), steps)


@pytest.mark.parametrize("steps", [1, 4, 7, 50])
def test_lcm_times_are_diffusers(steps: int) -> None:
    scheduler = LCMScheduler()
    scheduler.set_timesteps(steps)
    assert lcm_times(steps) == scheduler.timesteps.tolist()
    ours = read_scheduler({"_class_name": "LCMScheduler"}).schedule(steps)
    levels = (1 / scheduler.alphas_cumprod[scheduler.timesteps] - 1).sqrt()
    assert ours.sigmas[:-1] == pytest.approx(levels.tolist(), rel=1e-4)


@pytest.mark.parametrize("steps", [1, 4, 30])
@pytest.mark.parametrize(
    "name", [name for name, row in CLASSES.items() if row.sampler is None and "LMS" not in name]
)
def test_other_schedulers_step_themselves(name: str, steps: int) -> None:
    config = {**BETAS, "skip_prk_steps": True}
    stock = getattr(diffusers, name).from_config(config)
    stock.set_timesteps(steps)
    ours = read_scheduler({**config, "_class_name": name}).schedule(steps)
    assert ours.times == pytest.approx(stock.timesteps.tolist())
    assert ours.noise_scale == pytest.approx(float(stock.init_noise_sigma))
    assert ours.solver is not None
    assert (ours.solver.name, ours.solver.steps, ours.kind) == (name, steps, CLASSES[name].kind)


@pytest.mark.parametrize("name", ["EulerAncestralDiscreteScheduler", "DDIMScheduler", "PNDMScheduler"])
def test_settings_that_another_class_left_are_ignored(name: str) -> None:
    left = diffusers.EulerDiscreteScheduler(
        **BETAS, use_karras_sigmas=True, final_sigmas_type="sigma_min"
    ).config
    assert read_scheduler({**left, "_class_name": name, "clip_sample": False}) == read_scheduler(
        {**BETAS, "_class_name": name, "clip_sample": False}
    )


def test_the_class_fills_in_what_the_file_leaves_out() -> None:
    clips = read_scheduler({"_class_name": "DDIMScheduler", **BETAS}).schedule(2).solver
    assert clips is not None
    assert json.loads(clips.settings)["clip_sample"] is True


def test_named_schedules_hold_for_any_checkpoint() -> None:
    configs: list[dict[str, Any]] = [
        {"_class_name": name, **BETAS} for name in (*CLASSES, "DPMSolverSDEScheduler", "TheirOwnScheduler")
    ]
    configs.append({"_class_name": "EDMEulerScheduler", "sigma_max": 120.0})
    plain = read_scheduler({**EULER, **BETAS})
    for config in configs:
        scheduler = read_scheduler(config)
        for name in SCHEDULES:
            # EDM's models know no levels but Karras's, which are their own.
            own = name == "karras" and config["_class_name"].startswith("EDM")
            assert scheduler.schedule(2, name) == (scheduler if own else plain).schedule(
                2, None if own else name
            )
    with pytest.raises(RequestError, match="got the schedule 'fast'; expected none or euler, karras"):
        plain.schedule(2, "fast")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "got the scheduler 'None', which is not painted with; expected a schedule to be named: euler, "),
        ({"_class_name": ["x"]}, r"got the scheduler .*'x'"),
        ({"_class_name": "os"}, "got the scheduler 'os'"),
        ({"_class_name": "LMSDiscreteScheduler"}, "LMSDiscreteScheduler cannot be used: .*scipy"),
        ({**EULER, "use_beta_sigmas": True}, "cannot be used: .*scipy"),
        (
            {"_class_name": "DDPMScheduler", "variance_type": "learned_range"},
            "DDPMScheduler cannot step with",
        ),
    ],
)
def test_a_scheduler_that_is_not_painted_with_needs_a_name(config: dict[str, Any], message: str) -> None:
    scheduler = read_scheduler({**BETAS, **config})
    assert scheduler.schedule(2, "karras").sampler == "euler"
    with pytest.raises(RequestError, match=message):
        scheduler.schedule(2)


def test_steps_that_a_solver_cannot_take_are_refused() -> None:
    scheduler = read_scheduler({"_class_name": "DDIMScheduler", **BETAS})
    with pytest.raises(
        RequestError, match="got 2000 steps, which the checkpoint's DDIMScheduler cannot take"
    ):
        scheduler.schedule(2000)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"_class_name": "EulerDiscreteScheduler", "prediction_type": "sample"}, "scheduler for 'sample'"),
        (
            {"_class_name": "EulerDiscreteScheduler", "beta_schedule": "square"},
            "got 'square'; expected linear or",
        ),
        ({"_class_name": "EulerDiscreteScheduler", "beta_start": "small"}, "make no sense"),
        ({**EULER, "prediction_type": ["x"]}, r"got a scheduler for .*'x'.*; expected epsilon or v_pred"),
        (
            {**EULER, "num_train_timesteps": 1e9},
            "got num_train_timesteps 1000000000.0; expected a whole number",
        ),
        ({**EULER, "num_train_timesteps": 0}, "got num_train_timesteps 0; expected a whole number from 1 to"),
        ({**EULER, "num_train_timesteps": float("inf")}, "got num_train_timesteps inf"),
        ({**EULER, "num_train_timesteps": 10**400}, "got num_train_timesteps 1000"),
        ({**EULER, "steps_offset": -1}, "got steps_offset -1"),
        ({"_class_name": "LCMScheduler", "original_inference_steps": 1e9}, "got original_inference_steps"),
        (
            {**EULER, "use_karras_sigmas": True, "sigma_min": "small"},
            "got sigma_min 'small'; expected a number",
        ),
        ({**EULER, "beta_end": 5.0}, "no noise levels follow"),
        ({**EULER, "beta_start": -0.1}, "no noise levels follow"),
        ({**EULER, "trained_betas": {}}, "make no sense"),
        ({**EULER, "trained_betas": [[0.1]]}, "make no sense"),
    ],
)
def test_schedulers_that_cannot_be_followed_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        read_scheduler(config)


def test_steps_that_a_checkpoint_cannot_take_are_refused() -> None:
    with pytest.raises(RequestError, match="expected 1 to 1000"):
        read_scheduler({"_class_name": "EulerDiscreteScheduler"}).schedule(2000)
