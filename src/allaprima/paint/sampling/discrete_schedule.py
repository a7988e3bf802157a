"""Noise levels of models trained at a thousand discrete times, such as SDXL, and which of them to visit.

Such a model was trained on x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) eps with a_t = prod(1 - beta) (Ho et al. 2020,
arXiv:2006.11239). Divided by sqrt(a_t) that is x_0 + sigma_t eps with sigma_t = sqrt((1 - a_t) / a_t): a level
may become far greater than 1, so the process is called variance exploding (Song et al. 2021, arXiv:2011.13456).
The arithmetic keeps the types and the order of diffusers' schedulers, whose pictures ours are to equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

BetaCurve = Literal["linear", "scaled_linear", "squaredcos_cap_v2"]
Spacing = Literal["leading", "trailing", "linspace"]
Curve = Literal["as_trained", "karras", "exponential"]

_LAST_ALPHA = 2.0**-24
"""Stands for the zero that rescaling aims at, which would be an infinite noise level."""


@dataclass(frozen=True, kw_only=True)
class Betas:
    """The noise that each trained time adds to the one before it; the defaults are those of diffusers."""

    curve: BetaCurve = "linear"
    """How beta grows from `start` to `end`; the cosine curve has ends of its own."""
    start: float = 0.0001
    """beta at t = 0."""
    end: float = 0.02
    """beta at the last t."""
    num_times: int = 1000
    """How many times the model was trained at."""
    listed: tuple[float, ...] | None = None
    """Every beta, in place of a curve."""
    zero_terminal: bool = False
    """Rescale so that the last time is pure noise (Lin et al. 2023, arXiv:2305.08891, algorithm 1)."""

    def alphas(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Return a_t for t = 0 to `num_times` - 1, falling, as sums and products of `dtype` give them."""
        betas = self._betas(dtype)
        alphas = torch.cumprod(1.0 - (_rescaled(betas) if self.zero_terminal else betas), dim=0)
        if self.zero_terminal:
            alphas[-1] = _LAST_ALPHA
        return alphas

    def _betas(self, dtype: torch.dtype) -> torch.Tensor:
        if self.listed is not None:
            return torch.tensor(self.listed, dtype=dtype)
        if self.curve == "linear":
            return torch.linspace(self.start, self.end, self.num_times, dtype=dtype)
        if self.curve == "scaled_linear":
            return torch.linspace(self.start**0.5, self.end**0.5, self.num_times, dtype=dtype) ** 2
        return _cosine_betas(self.num_times, dtype)


def sigmas_of(alphas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the noise level sqrt((1 - a) / a) of each a."""
    sigmas: NDArray[np.float32] = ((1 - alphas) / alphas) ** 0.5
    return sigmas


def spaced_times(steps: int, spacing: Spacing, count: int = 1000, offset: int = 0) -> NDArray[np.float32]:
    """Return `steps` falling times in [0, `count`) (arXiv:2305.08891, table 2).

    Args:
        spacing: "trailing" begins at the last time, "leading" ends at `offset`, "linspace" does both.
        offset: added to every time of the leading spacing.
    """
    if not 1 <= steps <= count:
        raise ValueError(f"got {steps} steps; expected 1 to {count}, the times the model was trained at")
    if spacing == "linspace":
        return np.linspace(0, count - 1, steps, dtype=np.float32)[::-1].copy()
    if spacing == "leading":
        times = np.arange(steps) * (count // steps)
        if times[-1] + offset >= count:
            raise ValueError(
                f"got {steps} steps; expected fewer, for they begin {offset} past a trained time"
            )
        return times[::-1].astype(np.float32) + np.float32(offset)
    # Not arange with a step of a fraction: it gives one time too many for some numbers of steps.
    return np.round(count - np.arange(steps) * (count / steps)).astype(np.float32) - np.float32(1)


def sigmas_at(times: NDArray[np.float32], trained: NDArray[np.float32]) -> list[float]:
    """Return the noise levels at `times`, linear between the trained ones."""
    sigmas: list[float] = np.interp(times, np.arange(len(trained)), trained).astype(np.float32).tolist()
    return sigmas


def curved_sigmas(
    sigmas: Sequence[float], curve: Curve, *, low: float | None = None, high: float | None = None
) -> list[float]:
    """Return as many noise levels on another curve between the same ends.

    Args:
        sigmas: falling noise levels.
        curve: "karras" (Karras et al. 2022, arXiv:2206.00364, equation 5, rho = 7), "exponential" (evenly spaced
            logarithms) or "as_trained", which changes nothing.
        low: the last level instead of the last of `sigmas`.
        high: the first level instead of the first of `sigmas`.
    """
    if curve == "as_trained":
        return list(sigmas)
    last, first = sigmas[-1] if low is None else low, sigmas[0] if high is None else high
    if curve == "exponential":
        curved = np.exp(np.linspace(math.log(first), math.log(last), len(sigmas)))
    else:
        ramp = np.linspace(0, 1, len(sigmas))
        curved = (first ** (1 / 7) + ramp * (last ** (1 / 7) - first ** (1 / 7))) ** 7
    falling: list[float] = curved.astype(np.float32).tolist()
    return falling


def times_at(sigmas: Sequence[float], trained: NDArray[np.float32]) -> list[float]:
    """Return the time of each noise level, linear in its logarithm between the trained ones."""
    known = np.log(trained)
    at = np.interp(np.log(np.maximum(np.asarray(sigmas), 1e-10)), known, np.arange(len(trained)))
    times: list[float] = at.astype(np.float32).tolist()
    return times


def lcm_times(steps: int, taught_steps: int = 50, count: int = 1000) -> list[int]:
    """Return the falling times that a latent consistency model is asked at (Luo et al. 2023, arXiv:2310.04378).

    Args:
        taught_steps: the steps of its teacher's solver.
    """
    if not 1 <= steps <= taught_steps:
        raise ValueError(
            f"got {steps} steps; expected 1 to {taught_steps}, the steps that LCM was distilled at"
        )
    stride = count // taught_steps
    taught = [index * stride - 1 for index in range(taught_steps, 0, -1)]
    return [taught[math.floor(index * taught_steps / steps)] for index in range(steps)]


def _cosine_betas(count: int, dtype: torch.dtype) -> torch.Tensor:
    def share(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    pairs = ((share((i + 1) / count), share(i / count)) for i in range(count))
    return torch.tensor([min(1 - after / before, 0.999) for after, before in pairs], dtype=dtype)


def _rescaled(betas: torch.Tensor) -> torch.Tensor:
    roots = torch.cumprod(1.0 - betas, dim=0).sqrt()
    first, last = roots[0].clone(), roots[-1].clone()
    roots = (roots - last) * (first / (first - last))
    products = roots**2
    return 1 - torch.cat([products[:1], products[1:] / products[:-1]])
