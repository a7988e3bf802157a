"""What a base paints when nobody says otherwise: plain numbers, known before any weight is read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """Size, steps and guidance of a base, or of one of its schedules."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    steps: int
    guidance: float
    """1 paints without the negative prompt, at half the work."""


VIGNETTE = Defaults(width=256, height=256, steps=50, guidance=4.0)
