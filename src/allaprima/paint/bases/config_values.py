"""Checks of the numbers in a checkpoint's configurations, before anything is computed with them.

Every function raises a ValueError with what it got and what it expected; the caller adds the file's name.
"""

from __future__ import annotations

import math
import sys
from typing import TypeGuard


def is_number(value: object) -> TypeGuard[float]:
    """Return whether `value` is a number that a float can hold, and not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def read_whole(name: str, value: object, most: int, *, least: int = 1) -> int:
    """Return a whole number from `least` to `most`; 8.0 counts as one."""
    if not (is_number(value) and value == int(value) and least <= value <= most):
        raise ValueError(f"got {name} {_short(value)}; expected a whole number from {least} to {most}")
    return int(value)


def read_positive(name: str, value: object) -> float:
    """Return a number above 0."""
    if not (is_number(value) and value > 0):
        raise ValueError(f"got {name} {_short(value)}; expected a number above 0")
    return float(value)


def check_latent_statistics(mean: object, deviation: object, channels: int) -> None:
    """Refuse a `latents_mean` or `latents_std` without one number per channel, or with a deviation of 0 or less."""
    for name, values, least in (("latents_mean", mean, -math.inf), ("latents_std", deviation, 0.0)):
        if not (
            isinstance(values, list | tuple)
            and len(values) == channels
            and all(is_number(value) and value > least for value in values)
        ):
            above = " above 0" if least == 0.0 else ""
            raise ValueError(f"got {name} {_short(values)}; expected {channels} numbers{above}")


def _short(value: object) -> str:
    return repr(value)[:60]
