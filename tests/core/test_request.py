from __future__ import annotations

import json
import math
import time
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allaprima.core.errors import RequestError
from allaprima.core.layout import LAYERS, Box, Thing
from allaprima.core.request import MAX_PROMPT_CHARS, MAX_SEED, GenerationRequest, LoraUse

plain_text = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=MAX_PROMPT_CHARS)
loras = st.lists(
    st.builds(
        LoraUse, name=st.text("ab-/ 猫", min_size=1).filter(lambda name: name.strip() != ""),
        weight=st.floats(-10, 10),
    ),
    max_size=4, unique_by=lambda lora: lora.name,
)  # fmt: skip
layouts = st.lists(
    st.builds(
        lambda kind, corner, size, **others: Thing(
            kind=kind, box=Box(corner[0], corner[1], corner[0] + size[0], corner[1] + size[1]), **others
        ),
        kind=st.text('ab, 猫"\\', min_size=1, max_size=64).filter(lambda kind: kind.strip() != ""),
        corner=st.tuples(st.floats(-2, 1), st.floats(-2, 1)),
        size=st.tuples(st.floats(0.01, 2), st.floats(0.01, 2)),
        layer=st.sampled_from(LAYERS),
        number=st.integers(0, 63),
        color=st.none() | st.tuples(*[st.integers(0, 255)] * 3),
    ),
    max_size=4,
)
requests = st.builds(
    GenerationRequest,
    prompt=plain_text.filter(lambda text: text.strip() != ""),
    negative_prompt=plain_text,
    width=st.integers(1, 4096),
    height=st.integers(1, 4096),
    steps=st.integers(1, 1000),
    guidance=st.floats(0, 30),
    seed=st.integers(0, MAX_SEED),
    base=st.sampled_from(["vignette", "Qwen/Qwen-Image", "a, b: c"]),
    quality=st.sampled_from(["high", "medium"]),
    schedule=st.none() | st.sampled_from(["lightning", "a, b: c"]),
    loras=loras.map(tuple),
    layout=layouts.map(tuple),
    complete_layout=st.booleans(),
)


WORDS = "a cat, on a roof"


@pytest.mark.parametrize(
    "space", ["\t", "\n", "\r", "\r\n", "\n\n", " \t ", "\v", "\f", "\x1c", "\x85", "\n\u3000\n"]
)
def test_white_space_of_any_kind_is_a_space(space: str) -> None:
    words = WORDS.replace(", ", f",{space}")
    request = GenerationRequest(prompt=space + words + space, negative_prompt=f"{words}{space}")
    assert (request.prompt, request.negative_prompt) == (WORDS, WORDS)


def test_other_white_space_stays_as_it_is() -> None:
    words = "  two  blanks,\u00a0\u3000wide\u2028or\u2029none \u200d\u200e "
    assert GenerationRequest(prompt=words).prompt == words


def test_a_page_of_blanks_costs_no_time() -> None:
    started = time.perf_counter()
    assert GenerationRequest(prompt="a\n" + " " * 900 + "\t" + "b").prompt == "a b"
    assert time.perf_counter() - started < 1


@given(requests)
def test_json_brings_every_request_back(request_: GenerationRequest) -> None:
    assert GenerationRequest.from_json(json.loads(json.dumps(request_.to_json()))) == request_


def test_the_defaults_are_those_of_the_command() -> None:
    values = {field.name: field.default for field in fields(GenerationRequest) if field.name != "prompt"}
    assert values == {
        "negative_prompt": "", "width": 256, "height": 256, "steps": 50, "guidance": 4.0, "seed": 0,
        "base": "vignette", "quality": "high", "schedule": None, "loras": (), "references": (), "layout": (),
        "complete_layout": True, "template": "", "negative_template": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("prompt", "", "empty"),
        ("prompt", " \u3000", "empty"),
        ("prompt", "x" * 10_001, "10,001 characters; expected at most 10,000"),
        ("prompt", "a\0b", r"U\+0000 at position 1"),
        ("prompt", "\x1b[2J", r"U\+001B"),
        ("prompt", "\udcff", r"U\+DCFF"),
        ("prompt", None, "expected text"),
        ("negative_prompt", "x" * 10_001, "10,001 characters"),
        ("negative_prompt", 3, "expected text"),
        ("width", 0, "expected 1 to 4096"),
        ("height", 4097, "expected 1 to 4096"),
        ("height", 256.0, "whole number"),
        ("steps", 0, "got steps 0; expected 1 to 1000"),
        ("steps", 10**9, "got steps 1000000000; expected 1 to 1000"),
        ("steps", True, "whole number"),
        ("steps", "50", "whole number"),
        ("seed", -1, "got seed -1; expected 0 to 9223372036854775807"),
        ("seed", 2**63, "expected 0 to"),
        pytest.param("seed", 10**10_000, "a number of 33220 bits", id="a seed too long to print"),
        ("guidance", math.nan, "got guidance nan"),
        ("guidance", math.inf, "from 0 to 30"),
        ("guidance", -0.1, "from 0 to 30"),
        ("guidance", "4", "from 0 to 30"),
        ("guidance", 10**400, "from 0 to 30"),
        ("base", "", "empty"),
        ("base", ["vignette"], "expected text"),
        (
            "prompt",
            "a cat <lora:ink:0.5>",
            "got '<lora:ink:0.5>' inside the prompt; expected it among the LoRAs",
        ),
        ("schedule", "", "schedule is empty"),
        ("schedule", 4, "expected text"),
        ("schedule", "x" * 41, "41 characters; expected at most 40"),
        ("loras", "ink", "expected a list"),
        ("loras", ["ink"], "got LoRA 'ink'; expected an object with name and weight"),
        ("loras", [{"name": "ink", "scale": 1}], "expected an object with name and weight"),
        ("loras", [{"weight": 1}], "expected an object with name and weight"),
        ("loras", [{"name": ""}], "got LoRA name ''"),
        ("loras", [{"name": "a:b"}], "without < > and :"),
        ("loras", [{"name": "a\nb"}], r"U\+000A"),
        ("loras", [{"name": "a", "weight": math.nan}], "got weight nan for LoRA 'a'; expected -10 to 10"),
        ("loras", [{"name": "a", "weight": "1"}], "expected -10 to 10"),
        ("loras", [{"name": "a", "weight": True}], "expected -10 to 10"),
        ("loras", [{"name": "a", "weight": 9}, {"name": "a", "weight": 2}], "got weight 11"),
        ("loras", [{"name": str(number)} for number in range(100)], "got more than 32 LoRAs"),
        ("quality", "best", "expected high or medium"),
        ("quality", [], "expected high or medium"),
    ],
)
def test_a_value_out_of_range_is_told_with_what_is_expected(key: str, value: Any, told: str) -> None:
    with pytest.raises(RequestError, match=told) as caught:
        GenerationRequest.from_json({"prompt": "a cat", key: value})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"prompt": "a cat", "step": 4}, "unknown key 'step'; expected prompt, negative_prompt"),
        ({"prompt": "a cat", 5: 4}, "unknown key 5"),
        ({"seed": 4}, "without a prompt"),
        (["a cat"], "of type list"),
        (None, "of type NoneType"),
    ],
)
def test_json_that_is_no_request_is_refused(data: Any, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        GenerationRequest.from_json(data)


def test_a_request_cannot_be_changed_and_can_be_a_key() -> None:
    request_ = GenerationRequest(prompt="a cat", guidance=4)
    assert {request_: 1}[GenerationRequest(prompt="a cat", guidance=4.0)] == 1
    assert isinstance(request_.guidance, float)
    with pytest.raises(FrozenInstanceError):
        request_.seed = 3  # type: ignore[misc]


def test_numbers_of_other_kinds_count() -> None:
    """Notebooks draw seeds with NumPy, whose numbers are none of Python's own."""
    half: Any = np.float32(0.5)
    numbers: dict[str, Any] = {
        "seed": np.int64(7),
        "width": np.uint16(64),
        "steps": np.int32(3),
        "guidance": np.float32(2.5),
    }
    request = GenerationRequest(prompt="a cat", loras=(LoraUse(name="ink", weight=half),), **numbers)
    assert GenerationRequest.from_json(json.loads(json.dumps(request.to_json()))) == request
    assert [type(value) for value in (request.seed, request.width, request.guidance)] == [int, int, float]
    yes: Any = np.bool_(True)
    with pytest.raises(RequestError, match="whole number"):
        GenerationRequest(prompt="a cat", steps=yes)


def test_the_weights_of_a_lora_that_is_named_twice_are_added() -> None:
    request = GenerationRequest.from_json(
        {
            "prompt": "cat",
            "loras": [{"name": "a", "weight": 0.5}, {"name": "b"}, {"name": "a", "weight": 0.25}],
        }
    )
    assert request.loras == (LoraUse(name="a", weight=0.75), LoraUse(name="b"))
    assert GenerationRequest.from_json(request.to_json()) == request
