"""Which turbo LoRA is for a base, and what it is painted with."""

from __future__ import annotations

from dataclasses import replace

from allaprima.core.request import LoraUse
from allaprima.core.turbo import (
    FEW,
    find_turbo,
    first_look,
    keep_turbo,
    names_turbo,
    trained_settings,
    turbo_settings,
    without_turbo,
)
from allaprima.paint.lora.files.metadata import LoraMetadata

TURBO, ONE = LoraUse(name="turbo"), LoraUse(name="turbo-1")
FOUR_STEPS = LoraMetadata(family="vignette", steps=4, guidance=1.5)


def test_the_choice() -> None:
    one_step = replace(FOUR_STEPS, steps=1)
    both = {"turbo": FOUR_STEPS, "turbo-1": one_step}
    assert find_turbo({"turbo": FOUR_STEPS}.get, "vignette") == "turbo"
    assert find_turbo({"turbo": LoraMetadata()}.get, "vignette") == "turbo"
    assert find_turbo({"turbo": FOUR_STEPS}.get, "sdxl") is None
    assert find_turbo({"fast": FOUR_STEPS}.get, "vignette", 1) is None
    assert find_turbo(both.get, "vignette", 1) == "turbo-1"
    assert find_turbo({"turbo-1": one_step}.get, "vignette", 1) == "turbo-1"
    assert find_turbo(both.get, "vignette", 2) == "turbo"


def test_the_settings() -> None:
    assert turbo_settings(FOUR_STEPS) == {"steps": 4, "guidance": 1.5}
    assert turbo_settings(LoraMetadata()) == {"steps": FEW, "guidance": 1.0}
    assert turbo_settings(replace(FOUR_STEPS, schedule="lcm"))["schedule"] == "lcm"
    assert trained_settings([LoraMetadata(), FOUR_STEPS, LoraMetadata(steps=9)]) == turbo_settings(FOUR_STEPS)
    assert trained_settings([LoraMetadata()]) == {}


def test_loras_of_a_picture_and_of_a_command_are_joined() -> None:
    ink, chalk = LoraUse(name="ink"), LoraUse(name="chalk")
    assert keep_turbo((TURBO, ink), (chalk,)) == (TURBO, chalk)
    assert keep_turbo((TURBO, ink), (chalk, ONE)) == (chalk, ONE)
    assert keep_turbo((ink,), (chalk,)) == (chalk,)
    assert without_turbo((TURBO, ink, ONE)) == (ink,)
    assert names_turbo((ink, ONE))
    assert not names_turbo((ink,))


def test_a_first_look_takes_the_lora_for_one_step_at_the_same_weight() -> None:
    both = {"turbo": FOUR_STEPS, "turbo-1": replace(FOUR_STEPS, steps=1)}
    ink, half = LoraUse(name="ink"), replace(TURBO, weight=0.5)
    assert first_look((half, ink), "vignette", both.get) == (replace(ONE, weight=0.5), ink)
    assert first_look((ink,), "vignette", both.get) == (ink,)
    assert first_look((TURBO,), "vignette", {"turbo": FOUR_STEPS}.get) == (TURBO,)
    assert first_look((TURBO,), "sdxl", both.get) == (TURBO,)
