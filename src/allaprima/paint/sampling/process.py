"""How picture and noise mix, and what a network's answer says about both.

Two kinds of model, one interface: flow matching (Lipman et al. 2023, arXiv:2210.02747; the network tells
the velocity noise - picture at t in [0, 1]) and the variance-preserving process of SDXL (Ho et al. 2020,
arXiv:2006.11239; the network tells the noise at one of a thousand times). Everything a method needs follows from
x_t = alpha(t) picture + sigma(t) noise, so each method is written once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from allaprima.paint.contract.schedule import flow_sigmas


class Process(ABC):
    """One way of mixing picture and noise. Times are (B,) in the network's own unit, latents (B, C, h, w)."""

    end: float
    """The time of a clean picture; networks are never asked there."""

    @abstractmethod
    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The shares of picture and noise at `t`, each (B, 1, 1, 1)."""

    @abstractmethod
    def levels(self, steps: int) -> tuple[float, ...]:
        """The `steps` + 1 falling times that `steps` steps visit; the last is `end`."""

    @abstractmethod
    def clean(self, x: Tensor, t: Tensor, predicted: Tensor) -> Tensor:
        """The picture that the network's answer at (x, t) speaks of."""

    @abstractmethod
    def noise(self, x: Tensor, t: Tensor, predicted: Tensor) -> Tensor:
        """The noise that the network's answer at (x, t) speaks of."""

    @abstractmethod
    def answer(self, x: Tensor, t: Tensor, clean: Tensor) -> Tensor:
        """What a network would have to answer at (x, t) for the picture `clean`: the inverse of `clean`."""

    @abstractmethod
    def noisiness(self, t: Tensor) -> Tensor:
        """Where `t` lies on the way from picture (0) to noise (1), (B,)."""

    @abstractmethod
    def times(self, share: Tensor) -> Tensor:
        """The times at shares (B,) of the way in [0, 1], spread as the model's own schedule spreads them."""

    @abstractmethod
    def sigmas(self, steps: int) -> tuple[float, ...]:
        """The share of noise at the levels of `steps` steps, falling from about 1 to 0: what a LoRA file says."""

    def mix(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t."""
        alpha, sigma = self.alpha_sigma(t)
        return alpha * clean + sigma * noise

    def step(self, x: Tensor, t: Tensor, after: Tensor, predicted: Tensor) -> Tensor:
        """Where the answer at (x, t) leads at the time `after`: Euler for flows, DDIM for the other kind."""
        return self.mix(self.clean(x, t, predicted), self.noise(x, t, predicted), after)

    def solve(self, x: Tensor, t: Tensor, x_after: Tensor, after: Tensor) -> Tensor:
        """The picture whose one step from (x, t) ends at (x_after, after).

        Salimans and Ho 2022 (arXiv:2202.00512, appendix G): many of the teacher's steps in one answer.
        """
        alpha, sigma = self.alpha_sigma(t)
        alpha_after, sigma_after = self.alpha_sigma(after)
        ratio = sigma_after / sigma
        return (x_after - ratio * x) / (alpha_after - ratio * alpha)


def _wide(t: Tensor) -> Tensor:
    return t[:, None, None, None]


@dataclass(frozen=True, kw_only=True)
class Flow(Process):
    """x_t = (1 - t) picture + t noise."""

    shift: float = 1.0
    """Timestep shift of the model's schedule, see :func:`flow_sigmas`."""
    end: float = 0.0

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """1 - t and t."""
        return 1 - _wide(t), _wide(t)

    def levels(self, steps: int) -> tuple[float, ...]:
        """The shifted noise levels that the base's own schedule visits."""
        return tuple(flow_sigmas(steps, self.shift))

    def sigmas(self, steps: int) -> tuple[float, ...]:
        """The levels themselves."""
        return self.levels(steps)

    def clean(self, x: Tensor, t: Tensor, predicted: Tensor) -> Tensor:
        """X - t v."""
        return x - _wide(t) * predicted

    def noise(self, x: Tensor, t: Tensor, predicted: Tensor) -> Tensor:
        """X + (1 - t) v."""
        return x + (1 - _wide(t)) * predicted

    def answer(self, x: Tensor, t: Tensor, clean: Tensor) -> Tensor:
        """(x - picture) / t."""
        return (x - clean) / _wide(t)

    def noisiness(self, t: Tensor) -> Tensor:
        """T itself."""
        return t

    def times(self, share: Tensor) -> Tensor:
        """The shift, applied to each share."""
        return self.shift * share / (1 + (self.shift - 1) * share)


@dataclass(frozen=True, kw_only=True)
class VariancePreserving(Process):
    """x_t = sqrt(a_t) picture + sqrt(1 - a_t) noise at times 0 to 999; the network tells the noise."""

    beta_start: float = 0.00085
    beta_end: float = 0.012
    """SDXL's betas, whose square roots are evenly spaced."""
    count: int = 1000
    end: float = -1.0

    @cached_property
    def alphas(self) -> Tensor:
        """a_t for t = 0 to `count` - 1, and a 1 for the clean picture at the end, where -1 finds it."""
        betas = torch.linspace(self.beta_start**0.5, self.beta_end**0.5, self.count, dtype=torch.float64) ** 2
        return torch.cat([torch.cumprod(1 - betas, 0), torch.ones(1, dtype=torch.float64)]).float()

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(a_t) and sqrt(1 - a_t)."""
        found = self.alphas.to(t.device)[t.round().long()]
        return _wide(found.sqrt()), _wide((1 - found).sqrt())

    def levels(self, steps: int) -> tuple[float, ...]:
        """Trailing times, which begin at the noisiest (Lin et al. 2023, arXiv:2305.08891)."""
        if not 1 <= steps <= self.count:
            raise ValueError(f"got {steps} steps; expected 1 to {self.count}")
        times = (float(round(self.count - index * self.count / steps) - 1) for index in range(steps))
        return (*times, self.end)

    def sigmas(self, steps: int) -> tuple[float, ...]:
        """sqrt(1 - a): s of a painter that sees latents as picture + s / sqrt(1 - s^2) noise."""
        _, sigma = self.alpha_sigma(torch.tensor(self.levels(steps)))
        return tuple(sigma.flatten().tolist())

    def clean(self, x: Tensor, t: Tensor, predicted: Tensor) -> Tensor:
        """(x - sigma e) / alpha."""
        alpha, sigma = self.alpha_sigma(t)
        return (x - sigma * predicted) / alpha

    def noise(self, x: Tensor, t: Tensor, predicted: Tensor) -> Tensor:
        """The answer itself."""
        del x, t
        return predicted

    def answer(self, x: Tensor, t: Tensor, clean: Tensor) -> Tensor:
        """(x - alpha picture) / sigma."""
        alpha, sigma = self.alpha_sigma(t)
        return (x - alpha * clean) / sigma

    def noisiness(self, t: Tensor) -> Tensor:
        """The share of the times that lie below."""
        return (t + 1) / self.count

    def times(self, share: Tensor) -> Tensor:
        """The nearest of the trained times."""
        return (share * (self.count - 1)).round()
