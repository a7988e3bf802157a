"""Schedules of the flow-matching models of the Qwen-Image kind.

The arithmetic keeps the types and the order of diffusers' `FlowMatchEulerDiscreteScheduler`, whose pictures
ours are to equal: a noise level that is one rounding off is a time that is one rounding off, times a thousand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from allaprima.paint.contract.schedule import Schedule

_TRAINED_TIMES = 1000
LIGHTNING_SHIFT = 3.0


@dataclass(frozen=True, kw_only=True)
class FlowSettings:
    """How a checkpoint shifts its noise levels; the names and defaults are those of `scheduler_config.json`."""

    shift: float = 1.0
    """Used when `use_dynamic_shifting` is off."""
    use_dynamic_shifting: bool = False
    """Shift the more, the larger the picture."""
    base_shift: float = 0.5
    max_shift: float = 1.15
    base_image_seq_len: int = 256
    max_image_seq_len: int = 4096
    shift_terminal: float | None = None
    """The last level above zero, to which the levels are stretched."""
    time_shift_type: Literal["exponential", "linear"] = "exponential"

    def __post_init__(self) -> None:
        """Refuse settings by which no noise levels fall."""
        if not self.shift > 0:
            raise ValueError(f"got a shift of {self.shift}; expected a positive number")
        if self.use_dynamic_shifting and self.base_image_seq_len == self.max_image_seq_len:
            raise ValueError(
                f"got {self.base_image_seq_len} as base_image_seq_len and as max_image_seq_len; expected two sizes, "
                "between which the shift grows"
            )
        if self.shift_terminal is not None and not 0 <= self.shift_terminal < 1:
            raise ValueError(f"got a shift_terminal of {self.shift_terminal}; expected 0 or more, below 1")

    def schedule(self, steps: int, tokens: int) -> Schedule:
        """Return the checkpoint's own schedule for a picture of so many 2x2 patches of latents."""
        return self.follow(even_sigmas(steps), self.strength(tokens))

    def follow(self, sigmas: NDArray[np.float32], mu: float) -> Schedule:
        """Return the schedule of falling levels that are yet to be shifted.

        Args:
            sigmas: n of them, from 1.0.
            mu: how much to shift where that depends on the size; see `strength`.
        """
        steps = len(sigmas)
        if self.use_dynamic_shifting:
            sigmas = _shifted(sigmas, math.exp(mu) if self.time_shift_type == "exponential" else mu)
        else:
            sigmas = (self.shift * sigmas / (1 + (self.shift - 1) * sigmas)).astype(np.float32)
        # A single level is the start, which no stretching moves.
        if self.shift_terminal and steps > 1:
            rest = 1 - sigmas
            sigmas = 1 - rest / (rest[-1] / (1 - self.shift_terminal))
        return _as_schedule(sigmas)

    def strength(self, tokens: int) -> float:
        """Return mu, a straight line through (base_image_seq_len, base_shift) and (max_..., max_shift)."""
        slope = (self.max_shift - self.base_shift) / (self.max_image_seq_len - self.base_image_seq_len)
        return tokens * slope + (self.base_shift - slope * self.base_image_seq_len)


def lightning_schedule(steps: int) -> Schedule:
    """Return the levels of the Lightning and Wuli LoRAs: shift 3 at every size, no terminal level.

    Trained for 4 and for 8 steps; the settings are those that diffusers documents for Qwen-Image-Lightning.
    """
    return _as_schedule(_shifted(even_sigmas(steps), LIGHTNING_SHIFT))


def adaptive_cosine_schedule(steps: int) -> Schedule:
    """Return levels cos(pi/2 u^p), with p such that the first 5 steps cover 0.7 of the way to the picture.

    An article on a turbo LoRA says of its base "adaptive cosine schedule, the first 5 steps cover 70 % of the
    semantic change" and gives no formula; this is that sentence taken at its word. The published checkpoints do
    not sample so. With 5 steps or fewer there is nothing to adapt, and p is 1.
    """
    power = math.log(math.acos(1 - 0.7) * 2 / math.pi) / math.log(5 / steps) if steps > 5 else 1.0
    covered = np.arange(steps) / steps
    return _as_schedule(np.cos(np.pi / 2 * covered**power).astype(np.float32))


def even_sigmas(steps: int) -> NDArray[np.float32]:
    """Return `steps` levels from 1.0 to 1 / `steps`, in even steps."""
    if steps < 1:
        raise ValueError(f"got {steps} steps; expected at least 1")
    return np.linspace(1.0, 1 / steps, steps).astype(np.float32)


def _shifted(sigmas: NDArray[np.float32], shift: float) -> NDArray[np.float32]:
    return (shift / (shift + (1 / sigmas - 1))).astype(np.float32)


def _as_schedule(sigmas: NDArray[np.float32]) -> Schedule:
    # There and back, as between diffusers' scheduler and pipeline: in float32 that is not always where it began.
    times = sigmas * np.float32(_TRAINED_TIMES) / np.float32(_TRAINED_TIMES)
    return Schedule(sigmas=(*sigmas.tolist(), 0.0), times=tuple(times.tolist()))
