"""How picture and noise mix, and what a network's prediction says about both: written here and nowhere else.

Everything follows from x = alpha * clean + sigma * noise at a noise level:

* `Flow` (flow matching, Lipman et al. 2023, arXiv:2210.02747): x = (1 - t) clean + t noise at t in [0, 1]; the
  network predicts the velocity noise - clean.
* `VariancePreserving` (SDXL as it is trained, Ho et al. 2020, arXiv:2006.11239): x = sqrt(a_t) clean +
  sqrt(1 - a_t) noise at one of a thousand times; the network predicts the noise.
* `VarianceExploding` (SDXL as it is painted, Song et al. 2021, arXiv:2011.13456): the same latents divided by
  sqrt(a_t), so that x = clean + sigma noise; the network predicts the noise or v.
* `Normalized` (SDXL as many of diffusers' schedulers paint it): those latents of variance 1 again, at levels that are
  named by sigma.

Samplers give one level for all rows, a float; trainings give one per row, a tensor (B,). Both compute alike.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from allaprima.paint.contract.base import Prediction
from allaprima.paint.contract.schedule import ProcessKind, flow_sigmas
from allaprima.paint.sampling.discrete_schedule import Betas, spaced_times

Level = float | Tensor
"""A noise level or a time: one for all rows, or one per row (B,)."""

LCM_TIME_SCALE = 10.0
"""What a consistency model's time is multiplied by in its boundary condition; all that were published use it."""
_LCM_DATA_VARIANCE = 0.5**2


SDXL_BETAS = Betas(curve="scaled_linear", start=0.00085, end=0.012)


class Process(ABC):
    """One way of mixing picture and noise. Latents are (B, C, h, w)."""

    @abstractmethod
    def alpha_sigma(self, level: Level) -> tuple[Level, Level]:
        """Return the shares of picture and noise; of a level per row each is (B, 1, 1, 1)."""

    @abstractmethod
    def clean(self, x: Tensor, level: Level, predicted: Tensor) -> Tensor:
        """Return the picture that the network's prediction at `x` means."""

    @abstractmethod
    def target(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """Return what a network is taught to predict of `mix(clean, noise, level)`."""

    def mix(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """Return x at `level`."""
        alpha, sigma = self.alpha_sigma(level)
        return alpha * clean + sigma * noise

    def network_input(self, x: Tensor, level: Level) -> Tensor:
        """Return `x` as the network wants to be shown it."""
        del level
        return x

    def consistent(self, x: Tensor, level: Level, time: Level, clean: Tensor) -> Tensor:
        """Return the picture that a consistency model names at `x`, which is `x` itself where there is no noise.

        For a flow that is `clean`. Networks that predict noise are bent towards `x` at small times (Luo et al.
        2023, arXiv:2310.04378, equation 9).
        """
        del x, level, time
        return clean


class TrainingProcess(Process):
    """A process at the times a network was trained at, in the network's own unit."""

    end: float
    """The time of a clean picture; networks are never asked there."""

    @abstractmethod
    def timesteps(self, steps: int) -> tuple[float, ...]:
        """Return the `steps` + 1 falling times that `steps` steps visit; the last is `end`."""

    @abstractmethod
    def sigmas(self, steps: int) -> tuple[float, ...]:
        """Return the share of noise at `timesteps`, falling from about 1 to 0: what a LoRA file says."""

    @abstractmethod
    def times(self, share: Tensor) -> Tensor:
        """Return the times at shares (B,) of the way in [0, 1], spread as the model's own schedule spreads them."""

    @abstractmethod
    def noisiness(self, t: Tensor) -> Tensor:
        """Return where `t` lies on the way from picture (0) to noise (1), (B,)."""

    @abstractmethod
    def noise(self, x: Tensor, t: Tensor, predicted: Tensor) -> Tensor:
        """Return the noise that the network's prediction at (x, t) means."""

    @abstractmethod
    def prediction(self, x: Tensor, t: Tensor, clean: Tensor) -> Tensor:
        """Return what a network has to predict at (x, t) for the picture `clean`: the inverse of `clean`."""

    def step(self, x: Tensor, t: Tensor, after: Tensor, predicted: Tensor) -> Tensor:
        """Return where the prediction at (x, t) leads at the time `after`: Euler for flows, DDIM for SDXL."""
        return self.mix(self.clean(x, t, predicted), self.noise(x, t, predicted), after)

    def solve(self, x: Tensor, t: Tensor, x_after: Tensor, after: Tensor) -> Tensor:
        """Return the picture whose one step from (x, t) ends at (x_after, after).

        Salimans and Ho 2022 (arXiv:2202.00512, appendix G): many of the teacher's steps in one prediction.
        """
        alpha, sigma = self.alpha_sigma(t)
        alpha_after, sigma_after = self.alpha_sigma(after)
        ratio = sigma_after / sigma
        return (x_after - ratio * x) / (alpha_after - ratio * alpha)


@dataclass(frozen=True, kw_only=True)
class Flow(TrainingProcess):
    """x = (1 - t) clean + t noise; level and time are the same."""

    shift: float = 1.0
    """Timestep shift of the model's schedule, see :func:`flow_sigmas`."""
    end: float = 0.0

    def alpha_sigma(self, level: Level) -> tuple[Level, Level]:
        """Return 1 - t and t."""
        return 1 - _rows(level), _rows(level)

    def timesteps(self, steps: int) -> tuple[float, ...]:
        """Return the shifted noise levels that the base's own schedule visits."""
        return tuple(flow_sigmas(steps, self.shift))

    def sigmas(self, steps: int) -> tuple[float, ...]:
        """Return the levels themselves."""
        return self.timesteps(steps)

    def clean(self, x: Tensor, level: Level, predicted: Tensor) -> Tensor:
        """Return x - t v."""
        return x - _rows(level) * predicted

    def target(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """Return noise - clean, at every level."""
        del level
        return noise - clean

    def noise(self, x: Tensor, t: Tensor, predicted: Tensor) -> Tensor:
        """Return x + (1 - t) v."""
        return x + (1 - _rows(t)) * predicted

    def prediction(self, x: Tensor, t: Tensor, clean: Tensor) -> Tensor:
        """Return (x - clean) / t."""
        return (x - clean) / _rows(t)

    def noisiness(self, t: Tensor) -> Tensor:
        """Return `t` itself."""
        return t

    def times(self, share: Tensor) -> Tensor:
        """Return the shares, shifted."""
        return self.shift * share / (1 + (self.shift - 1) * share)


@dataclass(frozen=True, kw_only=True)
class VariancePreserving(TrainingProcess):
    """x = sqrt(a_t) clean + sqrt(1 - a_t) noise at trained times t; the network predicts the noise."""

    betas: Betas = SDXL_BETAS
    end: float = -1.0

    @cached_property
    def alphas(self) -> Tensor:
        """a_t of every trained time, and a 1 for the clean picture at the end, where -1 finds it."""
        return torch.cat([self.betas.alphas(torch.float64), torch.ones(1, dtype=torch.float64)]).float()

    @property
    def num_times(self) -> int:
        """How many times the model was trained at."""
        return len(self.alphas) - 1

    def alpha_sigma(self, level: Level) -> tuple[Level, Level]:
        """Return sqrt(a_t) and sqrt(1 - a_t)."""
        t = torch.as_tensor(level)
        alphas = _rows(self.alphas.to(t.device)[t.round().long()])
        return _sqrt(alphas), _sqrt(1 - alphas)

    def timesteps(self, steps: int) -> tuple[float, ...]:
        """Return trailing times, which begin at the noisiest (Lin et al. 2023, arXiv:2305.08891)."""
        return (*spaced_times(steps, "trailing", self.num_times).tolist(), self.end)

    def sigmas(self, steps: int) -> tuple[float, ...]:
        """Return sqrt(1 - a); `exploding_sigma` has the level at which the same latents are painted."""
        times = torch.tensor(self.timesteps(steps))
        return tuple(torch.as_tensor(self.alpha_sigma(times)[1]).flatten().tolist())

    def clean(self, x: Tensor, level: Level, predicted: Tensor) -> Tensor:
        """Return (x - sigma e) / alpha."""
        alpha, sigma = self.alpha_sigma(level)
        return (x - sigma * predicted) / alpha

    def target(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """Return the noise."""
        del clean, level
        return noise

    def noise(self, x: Tensor, t: Tensor, predicted: Tensor) -> Tensor:
        """Return the prediction itself."""
        del x, t
        return predicted

    def prediction(self, x: Tensor, t: Tensor, clean: Tensor) -> Tensor:
        """Return (x - alpha clean) / sigma."""
        alpha, sigma = self.alpha_sigma(t)
        return (x - alpha * clean) / sigma

    def noisiness(self, t: Tensor) -> Tensor:
        """Return the share of the times that lie below."""
        return (t + 1) / self.num_times

    def times(self, share: Tensor) -> Tensor:
        """Return the nearest of the trained times."""
        return (share * (self.num_times - 1)).round()

    def consistent(self, x: Tensor, level: Level, time: Level, clean: Tensor) -> Tensor:
        """See :meth:`Process.consistent`."""
        del level
        skip, out = _lcm_boundary(time)
        return x * skip + clean * out


@dataclass(frozen=True, kw_only=True)
class VarianceExploding(Process):
    """x = clean + sigma noise; the network is shown x / sqrt(sigma^2 + 1), latents of variance 1."""

    predicts: Prediction = "epsilon"
    """"epsilon", the noise, or "v" (Salimans and Ho 2022, arXiv:2202.00512)."""

    def alpha_sigma(self, level: Level) -> tuple[Level, Level]:
        """Return 1 and sigma."""
        return 1.0, _rows(level)

    def network_input(self, x: Tensor, level: Level) -> Tensor:
        """Return x / sqrt(sigma^2 + 1)."""
        return x / _norm(level)

    def clean(self, x: Tensor, level: Level, predicted: Tensor) -> Tensor:
        """Return x - sigma e, or x / (sigma^2 + 1) - sigma v / sqrt(sigma^2 + 1)."""
        sigma = _rows(level)
        if self.predicts == "epsilon":
            return x - sigma * predicted
        norm = _norm(level)
        return x / (norm * norm) - predicted * (sigma / norm)

    def target(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """Return the noise, or v = (noise - sigma clean) / sqrt(sigma^2 + 1)."""
        if self.predicts == "epsilon":
            return noise
        return (noise - _rows(level) * clean) / _norm(level)

    def consistent(self, x: Tensor, level: Level, time: Level, clean: Tensor) -> Tensor:
        """See :meth:`Process.consistent`."""
        skip, out = _lcm_boundary(time)
        return out * clean + (skip / _norm(level)) * x


@dataclass(frozen=True, kw_only=True)
class Normalized(VarianceExploding):
    """x = (clean + sigma noise) / sqrt(sigma^2 + 1), which is what the network is shown."""

    def alpha_sigma(self, level: Level) -> tuple[Level, Level]:
        """Return 1 and sigma, over sqrt(sigma^2 + 1)."""
        return 1.0 / _norm(level), _rows(level) / _norm(level)

    def network_input(self, x: Tensor, level: Level) -> Tensor:
        """Return `x` itself."""
        del level
        return x

    def clean(self, x: Tensor, level: Level, predicted: Tensor) -> Tensor:
        """Return what `VarianceExploding` does for the same latents before they were divided."""
        return super().clean(x * _norm(level), level, predicted)


_PROCESSES = {"variance_exploding": VarianceExploding, "variance_preserving": Normalized}


def process_of(kind: ProcessKind, prediction: Prediction) -> Process:
    """Return the process that a schedule of this kind follows by a model's predictions."""
    return Flow() if kind == "flow" else _PROCESSES[kind](predicts=prediction)


def exploding_sigma(share: float) -> float:
    """Return the sigma of variance-exploding latents that hold the share `share` of noise at variance 1."""
    return share / math.sqrt(1.0 - share * share)


def _rows(level: Level) -> Level:
    """Return a level per row as (B, 1, 1, 1), to go with latents, and one of all rows as it is."""
    return level.reshape(-1, 1, 1, 1) if isinstance(level, Tensor) else level


def _sqrt(value: Level) -> Level:
    return value.sqrt() if isinstance(value, Tensor) else math.sqrt(value)


def _norm(sigma: Level) -> Level:
    """Return the deviation of variance-exploding latents whose pictures have variance 1."""
    sigma = _rows(sigma)
    return _sqrt(sigma * sigma + 1.0)


def _lcm_boundary(time: Level) -> tuple[Level, Level]:
    """Return c_skip and c_out: the shares of what goes in and of the clean picture."""
    scaled = _rows(LCM_TIME_SCALE * time)
    square = scaled * scaled + _LCM_DATA_VARIANCE
    return _LCM_DATA_VARIANCE / square, scaled / _sqrt(square)
