from __future__ import annotations

import pytest

from allaprima.core.errors import RequestError
from allaprima.core.request import LoraUse
from allaprima.core.specification import Specification


def test_words_are_the_options_of_paint() -> None:
    asked = Specification.parse(
        "plain:50, lora:ink:0.8,lora:人物/安娜,guidance:3.5,size:128x64,schedule:lightning"
    )
    assert asked.turbo is False
    assert asked.fields == {
        "steps": 50, "guidance": 3.5, "width": 128, "height": 64, "schedule": "lightning",
        "loras": (LoraUse(name="ink", weight=0.8), LoraUse(name="人物/安娜")),
    }  # fmt: skip


def test_turbo_is_demanded_forbidden_or_left_open() -> None:
    assert Specification.parse("turbo:4").turbo is True
    assert Specification.parse("turbo").fields == {}
    assert Specification.parse("plain").turbo is False
    assert Specification.parse("steps:2").turbo is None


def test_loading_is_apart() -> None:
    asked = Specification.parse("base:models/xl.safetensors,vae:taesd,cache:first-block:0.1")
    assert asked.loading == {"base": "models/xl.safetensors", "vae": "taesd", "cache": "first-block:0.1"}
    assert asked.fields == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "neither a folder nor a way of painting"),
        ("turbo:4,", "neither a folder"),
        ("step:4", "'step:4'"),
        ("steps", "without a value"),
        ("steps:", "without a value"),
        ("steps:few", "expected a number"),
        ("turbo:4,steps:8", "steps twice"),
        ("turbo,plain", "turbo or plain twice"),
        ("lora:ink:strong", "expected NAME or NAME:WEIGHT"),
        ("size:big", "size"),
    ],
)
def test_nonsense_is_told(text: str, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        Specification.parse(text)
