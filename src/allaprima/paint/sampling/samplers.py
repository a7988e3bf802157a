"""From noise to a picture along a schedule, by the sampler that the schedule names.

    for step in sample_steps(model, base.noise(seeds, w, h), schedule, base.prediction, seeds):
        show(step.clean)

A sampler is one function: where a step ends. It knows the process, and nothing of the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from torch import Tensor

from allaprima.core.errors import PaintError
from allaprima.paint.contract.base import Prediction
from allaprima.paint.contract.schedule import ProcessKind, Schedule, Solver
from allaprima.paint.sampling.noise import noise_stream
from allaprima.paint.sampling.process import Process, process_of
from allaprima.paint.sampling.solver import solver_steps

Model = Callable[[Tensor, Tensor], Tensor]
"""(latents (B, ...), times (B,) in the model's unit) -> its prediction, shaped like the latents."""


@dataclass(frozen=True, kw_only=True)
class SamplerStep:
    """Where the sampler stands after a step."""

    index: int
    """1 after the first step."""
    latents: Tensor
    """(B, ...) float32 at the noise level reached."""
    clean: Tensor
    """(B, ...) float32, the picture that the step's prediction means: a preview."""


@dataclass(frozen=True, kw_only=True)
class _Move:
    """All a sampler is told of one step."""

    process: Process
    x: Tensor
    """(B, ...) float32 latents at `sigma`."""
    sigma: float
    after: float
    """The next noise level, 0 at the end."""
    time: float
    """What the model was told."""
    predicted: Tensor
    clean: Tensor
    fresh: Iterator[Tensor]
    """Noise shaped like `x`, each row from its own seed, so that a picture does not depend on its company."""


Sampler = Callable[[_Move], tuple[Tensor, Tensor]]
"""One step to the latents at the next level and the clean picture."""
Settle = Callable[[Tensor, float], Tensor]
"""(latents (B, ...), their noise level) -> what is gone on from in their place."""


def sample_steps(
    model: Model,
    noise: Tensor,
    schedule: Schedule,
    prediction: Prediction,
    seeds: Sequence[int],
    settle: Settle = lambda latents, _: latents,
) -> Iterator[SamplerStep]:
    """Yield each step of `schedule`; stop iterating to cancel.

    Args:
        noise: (B, ...) standard normal; not changed.
        prediction: what the base predicts; a schedule that knows better counts.
        seeds: B seeds, those `noise` was drawn from.
        settle: puts right what each step has led to, and the clean picture, whose level is 0.

    Raises:
        PaintError: no such sampler, or the model's prediction is not of the schedule's kind.
    """
    prediction = schedule.prediction or prediction
    sampler = SAMPLERS.get((schedule.sampler, schedule.kind))
    if sampler is None and schedule.solver is None:
        known = " or ".join(f"{sampler} ({kind})" for sampler, kind in SAMPLERS)
        raise PaintError(
            f"got the sampler {schedule.sampler!r} for a {schedule.kind} schedule; expected {known}"
        )
    if (schedule.kind == "flow") != (prediction == "flow"):
        raise PaintError(
            f"the model predicts {prediction}, which a schedule of kind {schedule.kind} cannot follow"
        )
    process = process_of(schedule.kind, prediction)
    if schedule.solver is not None:
        return _solved(schedule.solver, model, noise, schedule, process, seeds)
    assert sampler is not None
    # The first of a seed's noises is what `noise` was drawn from.
    fresh = islice(noise_stream(seeds, noise.shape[1:], noise.device), 1, None)
    return _steps(sampler, model, noise, schedule, process, fresh, settle)


def _solved(
    solver: Solver, model: Model, noise: Tensor, schedule: Schedule, process: Process, seeds: Sequence[int]
) -> Iterator[SamplerStep]:
    x = noise.float() * schedule.noise_scale
    steps = solver_steps(solver, model, x, schedule, process, seeds)
    for index, (latents, clean) in enumerate(steps, start=1):
        yield SamplerStep(index=index, latents=latents, clean=clean)


def _steps(
    sampler: Sampler,
    model: Model,
    noise: Tensor,
    schedule: Schedule,
    process: Process,
    fresh: Iterator[Tensor],
    settle: Settle,
) -> Iterator[SamplerStep]:
    # In float32 whatever the model computes in, for fifty roundings to bf16 would add up.
    x = noise.float() * schedule.noise_scale
    levels = zip(pairwise(schedule.sigmas), schedule.times, strict=True)
    for index, ((sigma, after), time) in enumerate(levels, start=1):
        predicted = model(process.network_input(x, sigma), x.new_full((len(x),), time)).float()
        clean = process.clean(x, sigma, predicted)
        move = _Move(
            process=process,
            x=x,
            sigma=sigma,
            after=after,
            time=time,
            predicted=predicted,
            clean=clean,
            fresh=fresh,
        )
        x, clean = sampler(move)
        x = settle(x, after)
        yield SamplerStep(index=index, latents=x, clean=settle(clean, 0.0))


def _flow_euler(move: _Move) -> tuple[Tensor, Tensor]:
    """Step straight along the velocity; for a constant one the result is exact."""
    return move.x + (move.after - move.sigma) * move.predicted, move.clean


def _exploding_euler(move: _Move) -> tuple[Tensor, Tensor]:
    """Take Euler's step on d x / d sigma = (x - clean) / sigma (Karras et al. 2022, algorithm 1 without churn).

    A step keeps the share of the noise that the next level has, which loses no digits where levels are in the
    thousands, as adding the difference of two levels would.
    """
    return move.clean + (move.after / move.sigma) * (move.x - move.clean), move.clean


def _exploding_ancestral(move: _Move) -> tuple[Tensor, Tensor]:
    """Take Euler's step to below the next level, and fresh noise back up to it, as SDXL-Turbo's own scheduler.

    The fresh noise is what keeps the latents' variance right when the steps are few (k-diffusion,
    `sample_euler_ancestral`). The last step adds none.
    """
    sigma, after = move.sigma, move.after
    up = math.sqrt(after**2 * (sigma**2 - after**2) / sigma**2)
    down = math.sqrt(after**2 - up**2)
    x = move.clean + (down / sigma) * (move.x - move.clean)
    return x + up * next(move.fresh) if after > 0.0 else x, move.clean


def _lcm(move: _Move) -> tuple[Tensor, Tensor]:
    """Jump to the picture and mix in fresh noise of the next level (arXiv:2303.01469, algorithm 1)."""
    clean = move.process.consistent(move.x, move.sigma, move.time, move.clean)
    return move.process.mix(clean, next(move.fresh), move.after) if move.after > 0.0 else clean, clean


SAMPLERS: dict[tuple[str, ProcessKind], Sampler] = {
    ("euler", "flow"): _flow_euler,
    ("lcm", "flow"): _lcm,
    ("euler", "variance_exploding"): _exploding_euler,
    ("ancestral", "variance_exploding"): _exploding_ancestral,
    ("lcm", "variance_exploding"): _lcm,
}
"""Name and kind of a schedule to the sampler that follows it."""
