"""Turbo: the LoRA that lets a base paint in a few steps, put on where nobody asks for something else.

It is known by its name and fits bases of the family it was made for. A second one may paint in a single step. Where
there is none, a public accelerator that lies in the folder does its work, under its own name. These are plain
decisions, so that the server, which imports no torch, decides as the command and Python do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from allaprima.core.errors import LoraError
from allaprima.core.request import LoraUse

TURBO = "turbo"
ONE_STEP = "turbo-1"
TURBOS = (TURBO, ONE_STEP)
FEW = 4
"""Steps to paint in with a turbo LoRA whose file does not say for how many it was trained."""


class LoraFacts(Protocol):
    """What a LoRA's file says about painting with it; None where it says nothing."""

    @property
    def family(self) -> str | None:
        """The family of the bases it is for."""

    @property
    def schedule(self) -> str | None:
        """The name of the schedule it was trained with."""

    @property
    def steps(self) -> int | None:
        """The number of steps it was trained for."""

    @property
    def guidance(self) -> float | None:
        """The guidance it was trained for; 1 is none."""

    @property
    def sigmas(self) -> tuple[float, ...]:
        """The noise levels it was trained at, one more than its steps; () where it says nothing."""

    @property
    def accelerator(self) -> str | None:
        """The title of the public accelerator that it was recognised as."""

    @property
    def most_steps(self) -> int | None:
        """The most steps that such a one was trained for."""


FindLora = Callable[[str], LoraFacts | None]
"""Returns what is known of the LoRA of that name; None if there is none that can be used."""


def find_turbo(
    find_lora: FindLora, family: str, steps: int | None = None, accelerators: Iterable[str] = ()
) -> str | None:
    """Return the name of the turbo LoRA for bases of `family` and so many `steps`, None if there is none.

    Args:
        accelerators: names of LoRAs that may be public accelerators, which count where no LoRA is called turbo.
    """
    known = ((name, find_lora(name)) for name in TURBOS)
    fitting = {name: facts for name, facts in known if facts is not None and facts.family in (family, None)}
    if steps == 1 and ONE_STEP in fitting and fitting[ONE_STEP].steps == 1:
        return ONE_STEP
    return TURBO if TURBO in fitting else _choose(find_lora, family, steps, accelerators)


def _choose(find_lora: FindLora, family: str, steps: int | None, accelerators: Iterable[str]) -> str | None:
    """Return the accelerator trained for so many `steps`, or else for the number nearest to a few."""
    fitting: dict[str, int] = {}
    for name in accelerators:
        with suppress(LoraError):  # nobody asked for it, and `prima lora list` says what is wrong
            facts = find_lora(name)
            if facts is not None and facts.accelerator and facts.family == family and facts.steps:
                fitting[name] = facts.steps
    wanted = FEW if steps is None else steps
    return min(fitting, key=lambda name: (abs(fitting[name] - wanted), name), default=None)


def trained_settings(loras: Iterable[LoraFacts]) -> dict[str, Any]:
    """Return the schedule, steps and guidance of the first LoRA that was trained for any."""
    for facts in loras:
        asked = {"schedule": facts.schedule, "steps": facts.steps, "guidance": facts.guidance}
        if settings := {name: value for name, value in asked.items() if value is not None}:
            return settings
    return {}


def turbo_settings(facts: LoraFacts) -> dict[str, Any]:
    """Return the settings to paint with a turbo LoRA: a few steps without guidance where its file says nothing."""
    return {"steps": FEW, "guidance": 1.0, **trained_settings([facts])}


def names_turbo(loras: Iterable[LoraUse], accelerators: Collection[str] = ()) -> bool:
    """Return whether a turbo LoRA is among `loras`, be it with a weight of 0."""
    return any(use.name in TURBOS or use.name in accelerators for use in loras)


def without_turbo(loras: Iterable[LoraUse], accelerators: Collection[str] = ()) -> tuple[LoraUse, ...]:
    """Return `loras` without the turbo LoRAs."""
    return tuple(use for use in loras if not names_turbo([use], accelerators))


def keep_turbo(
    before: Iterable[LoraUse], now: tuple[LoraUse, ...], accelerators: Collection[str] = ()
) -> tuple[LoraUse, ...]:
    """Return the LoRAs `now` behind the turbo LoRAs of `before`; `now` alone if it names one itself."""
    if names_turbo(now, accelerators):
        return now
    return (*(use for use in before if names_turbo([use], accelerators)), *now)


def first_look(loras: tuple[LoraUse, ...], family: str, find_lora: FindLora) -> tuple[LoraUse, ...]:
    """Return the LoRAs of a first frame, painted in one step, of a picture with `loras`.

    The turbo LoRA for one step takes the place of the one for several steps, where both are there for `family`.
    """
    named = [use.name for use in loras if use.name in TURBOS]
    if named != [TURBO] or find_turbo(find_lora, family, steps=1) != ONE_STEP:
        return loras
    return tuple(replace(use, name=ONE_STEP) if use.name == TURBO else use for use in loras)
