"""The size, steps and guidance of a base: plain numbers, known before any weight is read."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class RequestDefaults:
    """Size, steps and guidance of a base, or of one of its schedules."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    steps: int
    guidance: float
    """1 paints without the negative prompt, at half the work."""


FEW_STEPS: dict[str, tuple[int, float]] = {"lightning": (4, 1.0), "turbo": (1, 1.0), "lcm": (4, 1.0)}
"""Schedules of distilled models to the steps and the guidance these were distilled for."""


def defaults_for(own: RequestDefaults, schedule: str | None) -> RequestDefaults:
    """Return a base's `own` defaults, with the steps and guidance that a named schedule brings."""
    # By ==, not by hash: what a client sends may be of any type here.
    known = next((few for name, few in FEW_STEPS.items() if name == schedule), None)
    return own if known is None else replace(own, steps=known[0], guidance=known[1])
