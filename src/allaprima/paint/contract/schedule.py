"""Which noise levels a sampler visits, and which time it gives the model at each.

Flow matching (Lipman et al. 2023, arXiv:2210.02747) mixes picture and noise as x_t = (1 - t) x_0 + t eps, so
the noise level is the time itself, from 1 (noise) to 0 (picture). Variance-exploding latents are x_0 + sigma
eps, with sigma from about 15 down to 0 (Karras et al. 2022, arXiv:2206.00364); variance-preserving ones are the same
divided by sqrt(1 + sigma^2), and their levels are named by the same sigma.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

ProcessKind = Literal["flow", "variance_exploding", "variance_preserving"]


@dataclass(frozen=True, kw_only=True)
class Solver:
    """A scheduler of diffusers that steps in place of a sampler of ours."""

    name: str
    """Its class."""
    settings: str
    """Its settings, as a JSON object."""
    steps: int
    """What it was asked for; it may predict more often."""
    order: int = 1
    """Predictions that make one of its steps; it can begin at a multiple of them alone."""
    eta: float = 0.0
    """How much of each step is fresh noise, 0 to 1, where the class asks for it."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The way from noise to picture: all a sampler needs to know besides the model."""

    sigmas: tuple[float, ...]
    """n + 1 falling noise levels, the last 0.0."""
    times: tuple[float, ...]
    """n times in the model's unit, one for each level but the last."""
    sampler: str = "euler"
    """The name of the rule for one step, see `samplers.SAMPLERS`."""
    kind: ProcessKind = "flow"
    """How latents mix picture and noise; see the module docstring."""
    noise_scale: float = 1.0
    """What standard normal noise is multiplied by to become the first latents."""
    prediction: Literal["epsilon", "v"] | None = None
    """What the model predicts, where the schedule's name tells it; None for what the base says."""
    solver: Solver | None = None
    """What steps in place of `sampler`; it may visit a level twice, or one between its neighbours."""

    def __post_init__(self) -> None:
        """Refuse levels that do not fall to zero, or times that do not go with them."""
        if len(self.sigmas) != len(self.times) + 1 or not self.times:
            raise ValueError(
                f"got {len(self.sigmas)} noise levels with {len(self.times)} times; expected n + 1 with n, n >= 1"
            )
        if self.solver is not None:
            return
        # NaN compares false, so a pair that holds one is refused as well.
        wrong = next((pair for pair in pairwise(self.sigmas) if not pair[1] < pair[0]), None)
        if wrong is not None or self.sigmas[-1] != 0.0:
            before, after = wrong or self.sigmas[-2:]
            raise ValueError(
                f"got noise levels that go from {before:g} to {after:g}; expected levels that fall to 0.0"
            )

    def without_solver(self) -> Schedule:
        """Return the levels for a sampler of ours: each once, falling."""
        if self.solver is None:
            return self
        levels = list(zip(self.sigmas, self.times, strict=False))
        lowest = [min(sigma for sigma, _ in levels[: index + 1]) for index in range(len(levels))]
        kept = [
            level
            for index, level in enumerate(levels)
            if level[0] > 0 and (index == 0 or level[0] < lowest[index - 1])
        ]
        exploding = self.noise_scale if self.kind == "variance_exploding" else math.hypot(kept[0][0], 1.0)
        return replace(
            self,
            sigmas=(*(sigma for sigma, _ in kept), 0.0),
            times=tuple(time for _, time in kept),
            sampler="euler",
            kind="variance_exploding",
            noise_scale=exploding,
            solver=None,
        )

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.times)


def flow_schedule(sigmas: Sequence[float]) -> Schedule:
    """Return the Euler schedule of a flow whose model takes the noise level as its time."""
    return Schedule(sigmas=tuple(sigmas), times=tuple(sigmas[:-1]))


def flow_sigmas(steps: int, shift: float = 1.0) -> list[float]:
    """Return `steps` + 1 noise levels that fall from 1.0 to 0.0.

    A shift above 1 spends more of the steps at high noise, where the composition is decided: an evenly
    spaced t becomes s t / (1 + (s - 1) t) (Esser et al. 2024, arXiv:2403.03206, equation 23).

    Raises:
        ValueError: `steps` is below 1, or `shift` is not a positive number.
    """
    if steps < 1:
        raise ValueError(f"got {steps} steps; expected at least 1")
    if not (math.isfinite(shift) and shift > 0):
        raise ValueError(f"got a shift of {shift}; expected a positive number")
    times = (1.0 - step / steps for step in range(steps))
    return [shift * t / (1.0 + (shift - 1.0) * t) for t in times] + [0.0]
