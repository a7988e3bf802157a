"""The defaults of a base, and what a named schedule changes in them."""

from __future__ import annotations

from allaprima.core.request_defaults import FEW_STEPS, defaults_for
from allaprima.paint.bases.sdxl.traits import TRAITS


def test_a_schedule_of_few_steps_brings_its_own_steps_and_guidance() -> None:
    for name, (steps, guidance) in FEW_STEPS.items():
        few = defaults_for(TRAITS.defaults, name)
        assert (few.width, few.height, few.steps, few.guidance) == (1024, 1024, steps, guidance)


def test_other_schedules_change_nothing() -> None:
    assert defaults_for(TRAITS.defaults, None) == defaults_for(TRAITS.defaults, "karras") == TRAITS.defaults
    assert defaults_for(TRAITS.defaults, [{}]) == TRAITS.defaults  # type: ignore[arg-type]  # as a client may send it
