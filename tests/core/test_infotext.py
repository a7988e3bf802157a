from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allaprima.core.errors import RequestError
from allaprima.core.infotext import (
    MAX_CHARS,
    from_infotext,
    parse_size,
    split_infotext,
    split_loras,
    to_infotext,
)
from allaprima.core.request import GenerationRequest, LoraUse

plain_text = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=100)


@given(
    st.builds(
        GenerationRequest,
        prompt=plain_text.filter(lambda text: text.strip() != "")
        | st.sampled_from(["Negative prompt: x", "Steps: 20, Seed: 1, Size: 8x8", '"', "a: b, c"]),
        negative_prompt=plain_text,
        width=st.integers(1, 4096),
        steps=st.integers(1, 1000),
        guidance=st.floats(0, 30),
        seed=st.integers(0, 2**63 - 1),
        base=st.sampled_from(["vignette", "a, b", 'q"uote', "c:\\d"]),
        quality=st.sampled_from(["high", "medium"]),
        schedule=st.none() | st.sampled_from(["lightning", "a, b"]),
        loras=st.sampled_from(
            [(), (LoraUse(name="ink", weight=0.1),), (LoraUse(name="a b"), LoraUse(name="猫"))]
        ),
    ),
    plain_text,
)
def test_a_request_comes_back_and_so_does_what_was_added(request: GenerationRequest, added: str) -> None:
    text = to_infotext(request, {"added": added} if added.strip() else None)
    assert from_infotext(text) == request
    assert split_infotext(text)[2].get("added", "") == (added if added.strip() else "")


def test_the_text_is_what_other_programs_write() -> None:
    request = GenerationRequest(prompt="a cat", negative_prompt="rain", seed=7)
    assert to_infotext(request) == (
        "a cat\nNegative prompt: rain\nSteps: 50, Sampler: Euler, CFG scale: 4.0, Seed: 7, Size: 256x256, "
        "Model: vignette, Quality: high"
    )


def test_a_text_of_another_program_is_read() -> None:
    text = (
        "a cat,\nmasterpiece\nNegative prompt: blurry,\nugly\nSteps: 20, Sampler: DPM++ 2M Karras, "
        "CFG scale: 7, Seed: 1234, Size: 512x768, Model hash: abcdef, Model: sd_xl, "
        'Lora hashes: "a: 1, b: 2", Version: v1.9'
    )
    assert from_infotext(text) == GenerationRequest(
        prompt="a cat, masterpiece", negative_prompt="blurry, ugly", steps=20, guidance=7, seed=1234,
        width=512, height=768, base="sd_xl",
    )  # fmt: skip


def test_loras_are_tags_as_other_programs_write_them() -> None:
    loras = (LoraUse(name="ink", weight=0.8), LoraUse(name="turbo"))
    request = GenerationRequest(prompt="a cat", loras=loras, schedule="lightning")
    prompt, _, settings = to_infotext(request).partition("\n")
    assert prompt == "a cat <lora:ink:0.8> <lora:turbo:1.0>"
    assert settings.endswith(", Schedule: lightning")
    assert split_loras("a cat, <lora:ink:0.8><lora:turbo>, big") == ("a cat,, big", loras)
    for tag in ("<lora:a:b>", "<lora:a:1:2>", "<lora:>", "<lora:a:99>"):
        with pytest.raises(RequestError, match="expected"):
            split_loras(f"a cat {tag}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "without a line of settings"),
        ("just a comment", "without a line of settings"),
        ("Steps: 20, Seed: 1, Size: 8x8", "without a line of settings"),
        ("a cat\nSteps: many, Seed: 1, Size: 8x8", "got Steps 'many' in the infotext; expected a number"),
        ("a cat\nSteps: 5, Seed: 1, Size: 8by8", "got size '8by8'"),
        ("a cat\nSteps: 5, Seed: -1, Size: 8x8", "got seed -1"),
        ("a cat\nSteps: 5, CFG scale: nan, Seed: 1", "got guidance nan"),
        ("a cat\nSteps: 5, Seed: " + "9" * 5000 + ", Size: 8x8", "expected a number"),
        ("a\x00cat\nSteps: 5, Seed: 1, Size: 8x8", "control character"),
        ("x" * (MAX_CHARS + 1), "expected at most"),
    ],
)
def test_a_text_that_is_no_request_is_refused(text: str, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        from_infotext(text)


@given(st.text(max_size=300) | st.text('Steps: ,"\\\n1x', max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(RequestError):
        from_infotext(text)


@pytest.mark.parametrize("piece", ["a", "a ", " ", '"', 'a: "\\', "a: ", ", ", "a:" + " " * 50])
def test_hostile_text_costs_no_time(piece: str) -> None:
    text = "x\n" + piece * ((MAX_CHARS - 10) // len(piece))
    started = time.perf_counter()
    with pytest.raises(RequestError):
        from_infotext(text)
    assert time.perf_counter() - started < 5


def test_half_a_character_stays_as_it_is_written() -> None:
    """JSON can say one, but no file and no answer can hold it."""
    text = 'a cat\nSteps: 5, Half: "a \\ud800, b", Whole: "\\ud83d\\ude00, \\u00e9"'
    settings = split_infotext(text)[2]
    assert settings == {"Steps": "5", "Half": r'"a \ud800, b"', "Whole": "😀, é"}


def test_sizes() -> None:
    assert parse_size("256x128") == parse_size("256X128") == parse_size(" 256×128 ") == (256, 128)
    for text in ("", "256", "x", "256x", "-1x5", "1.5x2", "9999999x1", "١x٢"):
        with pytest.raises(RequestError, match="expected width x height in pixels"):
            parse_size(text)
