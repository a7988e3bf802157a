"""Which noise levels an SDXL checkpoint visits, read from its `scheduler_config.json`.

    scheduler = read_scheduler({"_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear"})
    schedule = scheduler.schedule(steps=30)

A checkpoint's scheduler gives the noise levels of its training, and the spacing and sampler that it is meant for.
For schedulers that solve the same equation with more memory (DPM++, UniPC, Heun, ...) Euler's method paints on their
levels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from allaprima.core.errors import RequestError, WeightsError
from allaprima.paint.bases.config_values import read_positive, read_whole
from allaprima.paint.contract.base import Prediction
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.sampling.discrete_schedule import (
    BetaCurve,
    Betas,
    Curve,
    Spacing,
    curved_sigmas,
    lcm_times,
    sigmas_at,
    sigmas_of,
    spaced_times,
    times_at,
)
from allaprima.paint.sampling.process import LCM_TIME_SCALE

SamplerName = Literal["euler", "ancestral", "lcm"]

_PLAIN = {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02, "timestep_spacing": "linspace"}
_LEADING = {**_PLAIN, "timestep_spacing": "leading"}
_LCM = {
    "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "timestep_spacing": "leading",
}  # fmt: skip

_CLASSES: dict[str, tuple[SamplerName, Mapping[str, object]]] = {
    "EulerDiscreteScheduler": ("euler", _PLAIN),
    "EulerAncestralDiscreteScheduler": ("ancestral", _PLAIN),
    "LCMScheduler": ("lcm", _LCM),
    "DDIMScheduler": ("euler", _LEADING),
    "PNDMScheduler": ("euler", _LEADING),
    "LMSDiscreteScheduler": ("euler", _PLAIN), "HeunDiscreteScheduler": ("euler", _PLAIN),
    "DPMSolverMultistepScheduler": ("euler", _PLAIN), "DPMSolverSinglestepScheduler": ("euler", _PLAIN),
    "UniPCMultistepScheduler": ("euler", _PLAIN), "DEISMultistepScheduler": ("euler", _PLAIN),
    "KDPM2DiscreteScheduler": ("euler", _PLAIN),
}  # fmt: skip
"""The sampler that paints for each class, and the class's values of keys that a file leaves out."""

_ONLY: dict[str, tuple[object, ...]] = {
    "interpolation_type": (None, "linear"), "timestep_type": (None, "discrete"),
    "final_sigmas_type": (None, "zero"), "use_beta_sigmas": (None, False), "use_flow_sigmas": (None, False),
    "use_lu_lambdas": (None, False), "clip_sample": (None, False), "thresholding": (None, False),
    "timestep_scaling": (None, LCM_TIME_SCALE),
}  # fmt: skip
"""Settings that change pictures, and the only values of them that are followed."""

_MOST_TIMES = 10_000
"""The most times that a checkpoint may have been trained at; the published ones have 1000."""

_PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v"}


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How to choose levels among the trained ones, and the sampler that steps between them."""

    sampler: SamplerName
    spacing: Spacing
    offset: int = 0
    """A number added to the times of the leading spacing."""
    curve: Curve = "as_trained"
    low: float | None = None
    """The last level of a curve; None for the last one spaced."""
    high: float | None = None
    """The first level of a curve; None for the first one spaced."""
    taught_steps: int = 50
    """The steps of the teacher that a consistency model was distilled from."""


SCHEDULES: dict[str, Habits] = {
    "euler": Habits(sampler="euler", spacing="leading", offset=1),
    "karras": Habits(sampler="euler", spacing="leading", offset=1, curve="karras"),
    "trailing": Habits(sampler="euler", spacing="trailing"),
    "turbo": Habits(sampler="ancestral", spacing="trailing"),
    "lcm": Habits(sampler="lcm", spacing="leading"),
}
"""What a request may name. "trailing" is how SDXL-Lightning and Hyper-SD are painted, "turbo" SDXL-Turbo."""


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """The levels that a checkpoint was trained at, and its own habits."""

    betas: Betas
    prediction: Prediction
    habits: Habits

    def __post_init__(self) -> None:
        """Refuse a_t that do not fall from 1 towards 0."""
        if self.alphas.ndim != 1 or not (
            np.all(self.alphas > 0) and np.all(np.diff(self.alphas, prepend=1) <= 0)
        ):
            raise ValueError(
                "got betas from which no noise levels follow; expected a list of them, from 0 to 1"
            )

    @cached_property
    def alphas(self) -> NDArray[np.float32]:
        """a_t of each trained time, to the last bit as diffusers has it."""
        return self.betas.alphas().numpy()

    def schedule(self, steps: int, name: str | None = None) -> Schedule:
        """Return the levels to visit in `steps` steps.

        Args:
            name: a key of `SCHEDULES`; None for the checkpoint's own habits.
        """
        if name is not None and name not in SCHEDULES:
            raise RequestError(f"got the schedule {name[:40]!r}; expected none or {', '.join(SCHEDULES)}")
        habits = self.habits if name is None else SCHEDULES[name]
        try:
            return self._lcm(steps, habits) if habits.sampler == "lcm" else self._spaced(steps, habits)
        except ValueError as error:
            raise RequestError(str(error)) from error

    def _spaced(self, steps: int, habits: Habits) -> Schedule:
        trained = sigmas_of(self.alphas)
        times = spaced_times(steps, habits.spacing, len(trained), habits.offset)
        sigmas = sigmas_at(times, trained)
        model_times = times.tolist()
        if habits.curve != "as_trained":
            sigmas = curved_sigmas(sigmas, habits.curve, low=habits.low, high=habits.high)
            model_times = times_at(sigmas, trained)
        # The leading spacing begins below pure noise, where latents hold a picture besides the noise.
        noise_scale = math.hypot(sigmas[0], 1.0) if habits.spacing == "leading" else sigmas[0]
        return _exploding(sigmas, model_times, habits.sampler, noise_scale)

    def _lcm(self, steps: int, habits: Habits) -> Schedule:
        trained = sigmas_of(self.alphas)
        times = lcm_times(steps, habits.taught_steps, len(trained))
        sigmas = [float(trained[time]) for time in times]
        return _exploding(sigmas, [float(time) for time in times], "lcm", math.hypot(sigmas[0], 1.0))


def read_scheduler(config: Mapping[str, Any]) -> Scheduler:
    """Return the scheduler of a `scheduler_config.json`."""
    name = config.get("_class_name")
    if name not in tuple(_CLASSES):  # a tuple, since a file may hold a list, which has no hash
        raise WeightsError(f"got the scheduler {str(name)[:60]!r}; expected one of {', '.join(_CLASSES)}")
    sampler, standard = _CLASSES[name]
    settings = {**standard, **{key: value for key, value in config.items() if value is not None}}
    for key, allowed in _ONLY.items():
        if settings.get(key) not in allowed:
            raise WeightsError(
                f"got a scheduler with {key} {settings[key]!r}; expected {allowed[1]!r}, which is all we follow"
            )
    if settings.get("prediction_type", "epsilon") not in tuple(_PREDICTIONS):
        raise WeightsError(
            f"got a scheduler for {str(settings['prediction_type'])[:60]!r}; expected {' or '.join(_PREDICTIONS)}"
        )
    try:
        return Scheduler(
            betas=_betas(settings),
            prediction=_PREDICTIONS[settings.get("prediction_type", "epsilon")],
            habits=_habits(sampler, settings),
        )
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(f"got a scheduler with settings that make no sense: {error}") from error


def _betas(settings: Mapping[str, Any]) -> Betas:
    zero_terminal = bool(settings.get("rescale_betas_zero_snr", False))
    if (listed := settings.get("trained_betas")) is not None:
        # By way of a tensor, which refuses what is no list of numbers.
        rounded = torch.tensor(listed, dtype=torch.float32).tolist()
        return Betas(listed=tuple(rounded), zero_terminal=zero_terminal)
    return Betas(
        curve=_one_of(settings["beta_schedule"], BetaCurve),
        start=float(settings["beta_start"]),
        end=float(settings["beta_end"]),
        num_times=read_whole("num_train_timesteps", settings.get("num_train_timesteps", 1000), _MOST_TIMES),
        zero_terminal=zero_terminal,
    )


def _habits(sampler: SamplerName, settings: Mapping[str, Any]) -> Habits:
    curves: dict[str, Curve] = {"use_karras_sigmas": "karras", "use_exponential_sigmas": "exponential"}
    return Habits(
        sampler=sampler,
        spacing=_one_of(settings["timestep_spacing"], Spacing),
        offset=read_whole("steps_offset", settings.get("steps_offset", 0), _MOST_TIMES, least=0),
        curve=next((curve for key, curve in curves.items() if settings.get(key)), "as_trained"),
        low=_level(settings, "sigma_min"),
        high=_level(settings, "sigma_max"),
        taught_steps=read_whole(
            "original_inference_steps", settings.get("original_inference_steps", 50), _MOST_TIMES
        ),
    )


def _level(settings: Mapping[str, Any], name: str) -> float | None:
    return None if (value := settings.get(name)) is None else read_positive(name, value)


def _one_of(value: object, choices: Any) -> Any:
    known = get_args(choices)
    if value not in known:
        raise ValueError(f"got {value!r}; expected {' or '.join(known)}")
    return value


def _exploding(sigmas: list[float], times: list[float], sampler: str, noise_scale: float) -> Schedule:
    return Schedule(
        sigmas=(*sigmas, 0.0),
        times=tuple(times),
        sampler=sampler,
        kind="variance_exploding",
        noise_scale=noise_scale,
    )
