from __future__ import annotations

from typing import Any

import pytest

from allaprima.core.errors import RequestError
from allaprima.core.request import LoraUse
from allaprima.studio.engine.messages import LivePrompt, LiveSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "got 0 live steps; expected 1 to 8"),
        ({"steps": 9}, "got 9 live steps; expected 1 to 8"),
        ({"steps": True}, "got True live steps"),
        ({"width": 10**5, "height": 10**4}, "got width 100000; expected 1 to 4096"),
        ({"seed": 2**63}, "got seed"),
        ({"guidance": float("nan")}, "got guidance nan"),
        ({"quality": "best"}, "got quality 'best'; expected high or medium"),
        ({"negative_prompt": "a\0b"}, "control character"),
        ({"loras": (LoraUse(name="a", weight=9.0), LoraUse(name="a", weight=2.0))}, "got weight 11"),
    ],
)
def test_settings_out_of_range_are_told(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        LiveSettings(**values)


@pytest.mark.parametrize("sequence", [-1, 2**53, True, 1.5, "1"])
def test_sequence_numbers_are_whole_and_countable(sequence: Any) -> None:
    with pytest.raises(RequestError, match="sequence number"):
        LivePrompt(sequence=sequence, prompt="a cat")


@pytest.mark.parametrize("prompt", ["a\x00cat", "<lora:ink:1> cat", "a" * 10_001, None, 7])
def test_prompts_that_no_request_takes_are_refused(prompt: Any) -> None:
    with pytest.raises(RequestError):
        LivePrompt(sequence=1, prompt=prompt)


def test_a_blank_prompt_asks_for_nothing() -> None:
    assert LivePrompt(sequence=1, prompt=" ").blank
    assert not LivePrompt(sequence=1, prompt="a cat").blank


def test_the_request_of_a_prompt_is_all_of_it() -> None:
    settings = LiveSettings(seed=3, guidance=2, steps=8, quality="medium", negative_prompt="rain")
    request = LivePrompt(sequence=1, prompt="a cat", settings=settings).request
    assert (request.prompt, request.negative_prompt, request.seed) == ("a cat", "rain", 3)
    assert (request.steps, request.guidance, request.quality) == (8, 2.0, "medium")
    assert LiveSettings(guidance=2) == LiveSettings(guidance=2.0)


def test_a_lora_twice_counts_once_with_both_weights() -> None:
    twice = (LoraUse(name="a", weight=0.5), LoraUse(name="b"), LoraUse(name="a", weight=0.25))
    settings = LiveSettings(loras=twice)
    assert settings.loras == (LoraUse(name="a", weight=0.75), LoraUse(name="b"))
    assert settings.request("cat", 1).loras == settings.loras
