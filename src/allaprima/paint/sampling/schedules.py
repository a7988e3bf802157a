"""Which noise levels a sampler visits.

Flow matching (Lipman et al. 2023, arXiv:2210.02747) mixes picture and noise as x_t = (1 - t) x_0 + t eps, so
the noise level is the time itself, from 1 (noise) to 0 (picture).
"""

from __future__ import annotations

import math


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
