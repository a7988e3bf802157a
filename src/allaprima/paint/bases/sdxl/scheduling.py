"""Which noise levels an SDXL checkpoint visits, and how it steps between them, by its `scheduler_config.json`.

    scheduler = read_scheduler({"_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear"})
    schedule = scheduler.schedule(steps=30)

The class decides which of the settings count: what another class left in the file is ignored, as diffusers does.
Euler, Euler ancestral and LCM are painted by samplers of ours, the others by diffusers' own schedulers.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from allaprima.core.errors import RequestError, WeightsError
from allaprima.paint.bases.checkpoint_errors import in_one_line
from allaprima.paint.bases.config_values import read_positive, read_whole
from allaprima.paint.bases.sdxl.named_solvers import NAMED_SOLVERS, NamedSolver
from allaprima.paint.contract.base import Prediction
from allaprima.paint.contract.schedule import ProcessKind, Schedule
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
from allaprima.paint.sampling.process import LCM_TIME_SCALE, SDXL_BETAS, process_of
from allaprima.paint.sampling.solver import make_scheduler, solver_schedule, solver_steps

SamplerName = Literal["euler", "ancestral", "lcm"]


@dataclass(frozen=True, kw_only=True)
class SchedulerClass:
    """One of diffusers' schedulers: what its latents are, and who steps."""

    kind: ProcessKind
    """How its latents mix picture and noise."""
    sampler: SamplerName | None = None
    """The sampler of ours that does the same; None where the class itself steps."""
    plain: Mapping[str, object] = field(default_factory=dict)
    """The settings, and their only values, with which that sampler does the same."""


_EXPLODING = SchedulerClass(kind="variance_exploding")
_PRESERVING = SchedulerClass(kind="variance_preserving")

CLASSES: dict[str, SchedulerClass] = {
    "EulerDiscreteScheduler": SchedulerClass(
        kind="variance_exploding",
        sampler="euler",
        plain={
            "interpolation_type": "linear", "timestep_type": "discrete", "final_sigmas_type": "zero",
            "use_beta_sigmas": False,
        },
    ),
    "EulerAncestralDiscreteScheduler": SchedulerClass(kind="variance_exploding", sampler="ancestral"),
    "LCMScheduler": SchedulerClass(
        kind="variance_preserving",
        sampler="lcm",
        plain={"clip_sample": False, "thresholding": False, "timestep_scaling": LCM_TIME_SCALE},
    ),
    "HeunDiscreteScheduler": _EXPLODING, "KDPM2DiscreteScheduler": _EXPLODING,
    "KDPM2AncestralDiscreteScheduler": _EXPLODING, "LMSDiscreteScheduler": _EXPLODING,
    "EDMEulerScheduler": _EXPLODING, "EDMDPMSolverMultistepScheduler": _EXPLODING,
    "DDIMScheduler": _PRESERVING, "DDPMScheduler": _PRESERVING, "PNDMScheduler": _PRESERVING,
    "DPMSolverMultistepScheduler": _PRESERVING, "DPMSolverSinglestepScheduler": _PRESERVING,
    "UniPCMultistepScheduler": _PRESERVING, "DEISMultistepScheduler": _PRESERVING,
    "SASolverScheduler": _PRESERVING, "TCDScheduler": _PRESERVING,
}  # fmt: skip
"""By the name that `model_index.json` gives. A class reads the settings that its constructor takes, and no others."""

_CANNOT = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What diffusers' schedulers raise when they are asked for what they cannot do."""

_ABOUT_BETAS = ("beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr")

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
    prediction: Literal["epsilon", "v"] | None = None
    """What the model predicts; None for what its file tells."""
    zero_terminal: bool = False
    """Whether it was trained down to pure noise, whatever its file tells (Lin et al. 2023, arXiv:2305.08891)."""
    taught_steps: int = 50
    """The steps of the teacher that a consistency model was distilled from."""


SCHEDULES: dict[str, Habits | NamedSolver] = {
    "euler": Habits(sampler="euler", spacing="leading", offset=1),
    "karras": Habits(sampler="euler", spacing="leading", offset=1, curve="karras"),
    "exponential": Habits(sampler="euler", spacing="leading", offset=1, curve="exponential"),
    "uniform": Habits(sampler="euler", spacing="linspace"),
    "trailing": Habits(sampler="euler", spacing="trailing"),
    "turbo": Habits(sampler="ancestral", spacing="trailing"),
    "lcm": Habits(sampler="lcm", spacing="leading"),
    "dmd2": Habits(sampler="lcm", spacing="trailing"),
    "v-prediction": Habits(sampler="euler", spacing="leading", offset=1, prediction="v"),
    "v-prediction-zsnr": Habits(
        sampler="euler", spacing="leading", offset=1, prediction="v", zero_terminal=True
    ),
    **NAMED_SOLVERS,
}
"""What a request may name. "uniform" is A1111's, "trailing" how SDXL-Lightning is painted, "turbo" SDXL-Turbo, and
"dmd2" DMD2, by LCM's rule at the times 999, 749, 499 and 249. Those of v-prediction are for files that predict v and
do not say so."""


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """The levels that a checkpoint was trained at, and how it is painted where nobody names a schedule."""

    betas: Betas
    prediction: Prediction
    habits: Habits | None = None
    """Of a checkpoint that a sampler of ours paints."""
    solver: tuple[str, str, ProcessKind] | None = None
    """Of one that diffusers' scheduler paints: the class, its settings as JSON, and the kind of its latents."""
    refusal: str = ""
    """Why neither can paint it; a named schedule can."""

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
        if name is None and self.refusal:
            raise RequestError(f"{self.refusal}; expected a schedule to be named: {', '.join(SCHEDULES)}")
        try:
            if habits is None or (name == "karras" and self._is_karras):
                return self._solved(steps)
            if isinstance(habits, NamedSolver):
                return self._named(steps, habits)
            return self._lcm(steps, habits) if habits.sampler == "lcm" else self._spaced(steps, habits)
        except ValueError as error:
            raise RequestError(str(error)) from error

    @property
    def _is_karras(self) -> bool:
        """Whether the checkpoint's own levels are Karras's, of a model that knows no others."""
        return self.solver is not None and self.solver[0].startswith("EDM")

    def _solved(self, steps: int) -> Schedule:
        assert self.solver is not None
        name, settings, kind = self.solver
        try:
            return solver_schedule(name, settings, steps=steps, kind=kind)
        except _CANNOT as error:
            raise _cannot_take(steps, f"the checkpoint's {name}", error) from error

    def _named(self, steps: int, named: NamedSolver) -> Schedule:
        try:
            return named.schedule(steps=steps, betas=self.betas, prediction=self.prediction)
        except _CANNOT as error:
            raise _cannot_take(steps, named.class_name, error) from error

    def _spaced(self, steps: int, habits: Habits) -> Schedule:
        alphas = self.alphas
        if habits.zero_terminal:
            alphas = replace(self.betas, zero_terminal=True).alphas().numpy()
        trained = sigmas_of(alphas)
        times = spaced_times(steps, habits.spacing, len(trained), habits.offset)
        sigmas = sigmas_at(times, trained)
        model_times = times.tolist()
        if habits.curve != "as_trained":
            sigmas = curved_sigmas(sigmas, habits.curve, low=habits.low, high=habits.high)
            model_times = times_at(sigmas, trained)
        # The leading spacing begins below pure noise, where latents hold a picture besides the noise.
        noise_scale = math.hypot(sigmas[0], 1.0) if habits.spacing == "leading" else sigmas[0]
        return replace(
            _exploding(sigmas, model_times, habits.sampler, noise_scale), prediction=habits.prediction
        )

    def _lcm(self, steps: int, habits: Habits) -> Schedule:
        trained = sigmas_of(self.alphas)
        if habits.spacing == "trailing":
            times = spaced_times(steps, "trailing", len(trained)).astype(int).tolist()
        else:
            times = lcm_times(steps, habits.taught_steps, len(trained))
        sigmas = [float(trained[time]) for time in times]
        return _exploding(sigmas, [float(time) for time in times], "lcm", math.hypot(sigmas[0], 1.0))


def _cannot_take(steps: int, what: str, error: Exception) -> RequestError:
    return RequestError(
        f"got {steps} steps, which {what} cannot take ({in_one_line(error)}); expected another number"
    )


def read_scheduler(config: Mapping[str, Any]) -> Scheduler:
    """Return the scheduler of a `scheduler_config.json`, whose `_class_name` is the one that the index gives.

    Raises:
        WeightsError: its numbers make no sense, or the model predicts what is not painted with here.
    """
    name = str(config.get("_class_name"))
    given = {key: value for key, value in config.items() if value is not None}
    try:
        _check(given)
        prediction = _prediction_of(given.get("prediction_type", "epsilon"))
        known, settings = CLASSES.get(name), dict[str, Any]()
        refusal = f"got the scheduler {name[:60]!r}, which is not painted with"
        if known is not None:
            settings, refusal = _settings_of(name, given)
        betas = _betas_of(settings, given)
        if known is None or refusal:
            return Scheduler(betas=betas, prediction=prediction, refusal=refusal)
        if known.sampler and all(settings[key] == value for key, value in known.plain.items()):
            return Scheduler(betas=betas, prediction=prediction, habits=_habits(known.sampler, settings))
        solver = (name, json.dumps(settings), known.kind)
        refusal = _try_out(*solver, prediction)
        return Scheduler(betas=betas, prediction=prediction, solver=solver, refusal=refusal)
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(
            f"got a scheduler with settings that make no sense: {in_one_line(error)}"
        ) from error


def _check(given: Mapping[str, Any]) -> None:
    """Refuse numbers that would take all memory, and curves of which no class is told."""
    for name, least in (("num_train_timesteps", 1), ("original_inference_steps", 1), ("steps_offset", 0)):
        read_whole(name, given.get(name, 1), _MOST_TIMES, least=least)
    _one_of(given.get("beta_schedule", "linear"), BetaCurve)


def _prediction_of(name: object) -> Prediction:
    if name not in tuple(_PREDICTIONS):  # a tuple, since a file may hold a list, which has no hash
        raise WeightsError(
            f"got a scheduler for {str(name)[:60]!r}; expected {' or '.join(_PREDICTIONS)}, which are painted with"
        )
    return _PREDICTIONS[str(name)]


def _settings_of(name: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return all settings that the class reads, its own values of those left out, or why it cannot be made."""
    try:
        scheduler = make_scheduler(name, json.dumps(given))
    except ImportError as error:
        return {}, f"the checkpoint's {name} cannot be used: {in_one_line(error)[:120]}"
    known = inspect.signature(type(scheduler).__init__).parameters
    return {key: value for key, value in scheduler.config.items() if key in known}, ""


def _try_out(name: str, settings: str, kind: ProcessKind, prediction: Prediction) -> str:
    """Return why the scheduler cannot step, as its settings are, or nothing: told now and not by a picture."""
    try:
        schedule = solver_schedule(name, settings, steps=5, kind=kind)
        assert schedule.solver is not None
        process = process_of(kind, prediction)
        for _ in solver_steps(
            schedule.solver, lambda x, _: x, torch.ones(1, 4, 8, 8), schedule, process, (0,)
        ):
            pass
    except _CANNOT as error:
        return f"the checkpoint's {name} cannot step with its settings ({in_one_line(error)[:120]})"
    return ""


def _betas_of(settings: Mapping[str, Any], given: Mapping[str, Any]) -> Betas:
    """Return the levels for schedules that are named: those the file tells, or else SDXL's own."""
    if "beta_start" in settings:
        return _betas(settings)
    if told := {key: given[key] for key in _ABOUT_BETAS if key in given}:
        return _betas(_settings_of("EulerDiscreteScheduler", told)[0])
    return SDXL_BETAS


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
        # LCM's class reads the setting and has times of its own all the same.
        spacing="leading" if sampler == "lcm" else _one_of(settings["timestep_spacing"], Spacing),
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
