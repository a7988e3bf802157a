"""Schedulers of diffusers as samplers: a checkpoint's own solver, step for step as stock pipelines call it.

    schedule = solver_schedule("DPMSolverMultistepScheduler", "{}", steps=20, kind="variance_preserving")

Ours are the samplers that are painted with most; the others that checkpoints name (DPM++, UniPC, Heun, ...) remember
what came before, each in a way of its own, and diffusers has them. A solver is made anew for every batch.
"""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from allaprima.paint.contract.schedule import ProcessKind, Schedule, Solver
from allaprima.paint.sampling.process import Process

_LEAST_ALPHA = 2.0**-24
"""Stands for the zero of a last time that is pure noise, which would be an infinite level."""


def make_scheduler(name: str, settings: str) -> Any:
    """Return the scheduler of that class; raise whatever it raises where settings make no sense to it."""
    import diffusers

    with _quiet():
        return getattr(diffusers, name).from_config(json.loads(settings))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence that a class ignores settings of others, which is what we want, and that it asks numpy for copies."""
    from diffusers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)


def _at(name: str, settings: str, steps: int, device: torch.device | None = None) -> Any:
    """Return the scheduler, told how many steps it takes."""
    scheduler = make_scheduler(name, settings)
    with _quiet():
        scheduler.set_timesteps(steps, device=device)
    return scheduler


def solver_schedule(name: str, settings: str, *, steps: int, kind: ProcessKind) -> Schedule:
    """Return the levels and times that the scheduler visits in `steps` steps.

    Args:
        name: a class of diffusers.
        settings: as JSON.
        steps: at least 1.
        kind: how its latents mix picture and noise.
    """
    scheduler = _at(name, settings, steps)
    return Schedule(
        sigmas=(*_levels(scheduler), 0.0),
        times=tuple(float(time) for time in scheduler.timesteps),
        sampler="solver",
        kind=kind,
        noise_scale=float(scheduler.init_noise_sigma),
        solver=Solver(name=name, settings=settings, steps=steps, order=int(scheduler.order)),
    )


def solver_steps(
    solver: Solver,
    model: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    schedule: Schedule,
    process: Process,
    seeds: Sequence[int],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the latents (B, ...) after each prediction, and the picture that the prediction means.

    Args:
        solver: steps.
        model: what is asked at each time.
        x: (B, ...) latents to begin with.
        schedule: the solver's own, or the end of it.
        process: of the schedule.
        seeds: B seeds that `x` was drawn from; fresh noise is what they give next.
    """
    scheduler = _at(solver.name, solver.settings, solver.steps, x.device)
    begin = len(scheduler.timesteps) - len(schedule)
    if begin and hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    options = _options(scheduler, x, seeds, solver.eta)
    for time, sigma in zip(scheduler.timesteps[begin:], schedule.sigmas, strict=False):
        told = x.new_full((len(x),), float(time))
        predicted = model(scheduler.scale_model_input(x, time), told).float()
        if hasattr(scheduler, "precondition_outputs"):
            clean = scheduler.precondition_outputs(x, predicted, torch.tensor(sigma, device=x.device))
        else:
            clean = process.clean(x, sigma, predicted)
        with _quiet():
            x = scheduler.step(predicted, time, x, return_dict=False, **options)[0]
        yield x, clean


def _levels(scheduler: Any) -> list[float]:
    """Return the noise level at each of the scheduler's times."""
    if getattr(scheduler, "sigmas", None) is not None:
        levels: list[float] = scheduler.sigmas[: len(scheduler.timesteps)].tolist()
        return levels
    alphas = scheduler.alphas_cumprod[scheduler.timesteps.long()].clamp_min(_LEAST_ALPHA)
    return ((1 - alphas) / alphas).sqrt().tolist()  # type: ignore[no-any-return]


def _options(scheduler: Any, x: Tensor, seeds: Sequence[int], eta: float) -> dict[str, Any]:
    """Return what stock pipelines hand to `step` besides: the share of noise, a generator for each picture."""
    known = inspect.signature(scheduler.step).parameters
    options: dict[str, Any] = {"eta": eta} if "eta" in known else {}
    if "generator" in known:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        for generator in generators:  # the first of a seed's noises is what the latents began with
            torch.randn(*x.shape[1:], generator=generator)
        options["generator"] = generators
    return options
