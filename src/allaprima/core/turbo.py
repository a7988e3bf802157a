"""Turbo: the LoRA that lets a base paint in a few steps, worn where nobody says otherwise.

It is known by its name, and it is worn by bases of the family it was made for. Beside it there may be one for a
single step. All that is here are plain decisions, so that the command, Python and the server, which knows no torch,
decide alike; what a request says itself always comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from allaprima.core.request import LoraUse

TURBO = "turbo"
ONE_STEP = "turbo-1"
TURBOS = (TURBO, ONE_STEP)
FEW = 4
"""Steps to paint in with a turbo LoRA whose file does not say for how many it was trained."""


class TurboMetadata(Protocol):
    """What a LoRA's file says, as far as it counts here."""

    @property
    def family(self) -> str | None:
        """Of the bases it is for; None if nobody knows."""

    @property
    def steps(self) -> int | None:
        """It was trained for, if it says so."""

    @property
    def guidance(self) -> float | None:
        """It was trained for, if it says so; 1 is none."""


def choose_turbo(shelf: Mapping[str, TurboMetadata], family: str, steps: int | None = None) -> str | None:
    """Return the name of the LoRA to put on a base, or None if there is none for it.

    Args:
        shelf: the LoRAs that are there, by name.
        family: of the base.
        steps: that are asked for, if any are.
    """
    fitting = {name: told for name, told in shelf.items() if name in TURBOS and told.family in (family, None)}
    if steps == 1 and ONE_STEP in fitting and fitting[ONE_STEP].steps == 1:
        return ONE_STEP
    return TURBO if TURBO in fitting else None


def turbo_habits(told: TurboMetadata) -> dict[str, Any]:
    """Return the steps and the guidance that a turbo LoRA is painted with where nobody says otherwise."""
    return {
        "steps": FEW if told.steps is None else told.steps,
        "guidance": 1.0 if told.guidance is None else told.guidance,
    }


def is_turbo(loras: Iterable[LoraUse]) -> bool:
    """Return whether a turbo LoRA is among `loras`, if only to say that it is not to act."""
    return any(use.name in TURBOS for use in loras)


def without_turbo(loras: Iterable[LoraUse]) -> tuple[LoraUse, ...]:
    """Return `loras` but for turbo LoRAs."""
    return tuple(use for use in loras if use.name not in TURBOS)


def keep_turbo(before: Iterable[LoraUse], now: tuple[LoraUse, ...]) -> tuple[LoraUse, ...]:
    """Return the LoRAs `now`, with the turbo LoRAs of `before` still in front unless `now` speaks of one."""
    return now if is_turbo(now) else (*(use for use in before if use.name in TURBOS), *now)
