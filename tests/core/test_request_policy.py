"""What a request leaves open, decided from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from allaprima.core.errors import LoraError
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.core.request_defaults import RequestDefaults
from allaprima.core.request_policy import complete_request
from allaprima.paint.bases.vignette.traits import TRAITS
from allaprima.paint.lora.files.metadata import LoraMetadata


@dataclass(frozen=True)
class Base:
    """As far as requests depend on it."""

    name: str = "my-base"
    family: str = "vignette"
    defaults: RequestDefaults = TRAITS.defaults


INK = LoraUse(name="ink", weight=0.5)
QUICK = LoraUse(name="quick")
TURBO = LoraUse(name="turbo")
ONE = LoraUse(name="turbo-1")
LORAS = {
    "ink": LoraMetadata(),
    "quick": LoraMetadata(steps=2),
    "turbo": LoraMetadata(family="vignette", steps=4, guidance=1.0),
    "turbo-1": LoraMetadata(family="vignette", steps=1, guidance=1.0),
}

CASES: list[tuple[Mapping[str, Any], int, float, tuple[LoraUse, ...]]] = [
    ({}, 4, 1.0, (TURBO,)),
    ({"steps": 4}, 4, 1.0, (TURBO,)),
    ({"steps": 20}, 20, 1.0, (TURBO,)),
    ({"steps": 1}, 1, 1.0, (ONE,)),
    ({"guidance": 1.0}, 4, 1.0, (TURBO,)),
    ({"guidance": 7.0}, 50, 7.0, ()),
    ({"guidance": 7.0, "steps": 20}, 20, 7.0, ()),
    ({"negative_prompt": "rain"}, 50, 4.0, ()),
    ({"negative_prompt": "rain", "guidance": 1.0}, 4, 1.0, (TURBO,)),
    ({"negative_prompt": ""}, 4, 1.0, (TURBO,)),
    ({"schedule": "lcm"}, 4, 1.0, ()),
    ({"schedule": "own"}, 50, 4.0, ()),
    ({"loras": ()}, 4, 1.0, (TURBO,)),
    ({"loras": (INK,)}, 4, 1.0, (TURBO, INK)),
    ({"loras": (INK,), "guidance": 3.0}, 50, 3.0, (INK,)),
    ({"loras": (QUICK,)}, 2, 4.0, (QUICK,)),
    ({"loras": (LoraUse(name="quick", weight=0.0),)}, 4, 1.0, (TURBO, LoraUse(name="quick", weight=0.0))),
    ({"loras": (LoraUse(name="turbo", weight=0.5),)}, 4, 1.0, (LoraUse(name="turbo", weight=0.5),)),
    ({"loras": (LoraUse(name="turbo", weight=0.0),)}, 50, 4.0, (LoraUse(name="turbo", weight=0.0),)),
    ({"loras": (TURBO,), "guidance": 7.0}, 4, 7.0, (TURBO,)),
    ({"loras": (LoraUse(name="unknown"),)}, 4, 1.0, (TURBO, LoraUse(name="unknown"))),
]


@pytest.mark.parametrize(("given", "steps", "guidance", "loras"), CASES)
def test_what_is_left_open(
    given: Mapping[str, Any], steps: int, guidance: float, loras: tuple[LoraUse, ...]
) -> None:
    completed = complete_request(given, Base(), LORAS.get)
    assert (completed["steps"], completed["guidance"], completed["loras"]) == (steps, guidance, loras)
    assert {key: completed[key] for key in given.keys() - {"loras"}} == {
        key: value for key, value in given.items() if key != "loras"
    }
    again = complete_request(
        completed, Base(defaults=RequestDefaults(**{**vars(TRAITS.defaults), "steps": 9})), LORAS.get
    )
    assert again == completed


def test_the_plain_base() -> None:
    plain = complete_request({}, Base(), LORAS.get, turbo=False)
    assert plain == {"base": "my-base", "schedule": None, "loras": (), **vars(TRAITS.defaults)}
    assert complete_request({"loras": (QUICK,)}, Base(), LORAS.get, turbo=False)["steps"] == 2


def test_turbo_is_for_its_family() -> None:
    assert complete_request({}, Base(family="sdxl"), LORAS.get)["loras"] == ()


def test_a_turbo_trained_with_guidance_defeats_nothing() -> None:
    guided = LORAS | {"turbo": LoraMetadata(steps=4, guidance=3.0)}
    completed = complete_request({"negative_prompt": "rain"}, Base(), guided.get)
    assert (completed["loras"], completed["guidance"]) == ((TURBO,), 3.0)


def test_a_lora_names_the_schedule_it_was_trained_with() -> None:
    loras = {"quick": LoraMetadata(schedule="lcm")}
    completed = complete_request({"loras": (QUICK,)}, Base(), loras.get)
    assert (completed["schedule"], completed["steps"], completed["guidance"]) == ("lcm", 4, 1.0)


def test_a_request_that_says_everything_stays_as_it_is() -> None:
    whole = GenerationRequest(prompt="a cat", steps=50)
    assert GenerationRequest(**complete_request(vars(whole), Base(), LORAS.get)) == whole


LIGHTNING = LoraMetadata(
    family="qwen-image", steps=4, most_steps=4, guidance=1.0, schedule="lightning", accelerator="Lightning"
)
FOLDER = {
    "eight": replace(LIGHTNING, steps=8),
    "four": LIGHTNING,
    "ink": LoraMetadata(),
    "other": replace(LIGHTNING, family="sdxl"),
    "unlike": LoraMetadata(family="qwen-image"),
}
NAMES = ("eight", "four", "other", "unlike")
"""Those that are called like accelerators."""


@pytest.mark.parametrize(
    ("given", "worn", "steps"),
    [
        ({}, ("four",), 4),
        ({"steps": 8}, ("eight",), 8),
        ({"steps": 7}, ("eight",), 7),
        ({"loras": (INK,)}, ("four", "ink"), 4),
        ({"loras": (LoraUse(name="eight"),)}, ("eight",), 8),
        ({"loras": (LoraUse(name="four", weight=0.0),)}, ("four",), 50),
        ({"guidance": 4.0}, (), 50),
        ({"schedule": "adaptive-cosine"}, (), 50),
        ({"negative_prompt": "rain"}, (), 50),
    ],
)
def test_a_public_accelerator_in_the_folder_is_turbo(
    given: Mapping[str, Any], worn: tuple[str, ...], steps: int
) -> None:
    completed = complete_request(given, Base(family="qwen-image"), FOLDER.get, accelerators=NAMES)
    assert (tuple(use.name for use in completed["loras"]), completed["steps"]) == (worn, steps)
    by_name = {name: facts for name, facts in FOLDER.items() if facts.accelerator}
    acts = any(use.name in by_name and use.weight for use in completed["loras"])
    assert completed["schedule"] == given.get("schedule", "lightning" if acts else None)
    plain = complete_request({}, Base(family="qwen-image"), FOLDER.get, accelerators=NAMES, turbo=False)
    assert plain["loras"] == ()


def test_one_called_turbo_counts_before_a_public_one() -> None:
    folder = FOLDER | {"turbo": LoraMetadata(family="qwen-image", steps=2)}
    completed = complete_request({}, Base(family="qwen-image"), folder.get, accelerators=NAMES)
    assert completed["loras"] == (TURBO,)


def test_a_base_that_was_distilled_wears_none_unasked() -> None:
    distilled = Base(
        family="qwen-image", defaults=RequestDefaults(width=64, height=64, steps=8, guidance=1.0)
    )
    assert complete_request({}, distilled, FOLDER.get, accelerators=NAMES)["loras"] == ()


def test_a_broken_one_that_nobody_asked_for_is_passed_over() -> None:
    def find(name: str) -> LoraMetadata | None:
        if name == "four":
            raise LoraError("it is damaged")
        return FOLDER.get(name)

    completed = complete_request({}, Base(family="qwen-image"), find, accelerators=NAMES)
    assert completed["loras"] == (LoraUse(name="eight"),)
