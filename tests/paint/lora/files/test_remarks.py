"""Remarks and introductions: one or the other for each LoRA that was trained for some steps."""

from __future__ import annotations

from dataclasses import replace

from allaprima.core.request import GenerationRequest
from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.files.remarks import introductions, remarks_on, remarks_on_unused

REQUEST = GenerationRequest(prompt="a cat", steps=4, guidance=1.0)
FOUR_STEPS = LoraMetadata(steps=4, guidance=1.0, sigmas=(1.0, 0.3, 0.2, 0.1, 0.0))


def test_a_lora_painted_as_trained_is_introduced() -> None:
    assert remarks_on(REQUEST, {"turbo": FOUR_STEPS}) == ()
    assert introductions(REQUEST, {"turbo": FOUR_STEPS, "ink": LoraMetadata()}) == (
        "the LoRA 'turbo' was trained to paint in 4 steps without guidance",
    )
    one = replace(FOUR_STEPS, steps=1, guidance=3.0, sigmas=(1.0, 0.0))
    assert introductions(replace(REQUEST, steps=1), {"one": one}) == (
        "the LoRA 'one' was trained to paint in 1 step",
    )


def test_other_steps_than_those_it_was_trained_for() -> None:
    nine = replace(REQUEST, steps=9)
    assert introductions(nine, {"turbo": FOUR_STEPS}) == ()
    assert remarks_on(nine, {"turbo": FOUR_STEPS}) == (
        "the LoRA 'turbo' was trained to paint in 4 steps; 9 are asked for, at noise levels it has not learned",
    )
    assert remarks_on(nine, {"turbo": replace(FOUR_STEPS, sigmas=())}) == ()


def test_guidance_and_a_negative_prompt_that_it_has_not_learned() -> None:
    guided = replace(REQUEST, guidance=4.0, negative_prompt="rain")
    (burning,) = remarks_on(guided, {"ink": LoraMetadata(), "turbo": FOUR_STEPS})
    assert burning.startswith(
        "the LoRA 'turbo' was trained to paint without guidance; with guidance 4 a picture"
    )
    assert remarks_on(replace(guided, guidance=1.0), {"turbo": FOUR_STEPS}) == (
        "the negative prompt does nothing, for the LoRA 'turbo' paints without guidance",
    )
    assert remarks_on(guided, {"turbo": replace(FOUR_STEPS, guidance=3.0)}) == ()


def test_keys_that_a_terminal_would_act_on_are_named_without_that() -> None:
    (said,) = remarks_on_unused({"ink": ("\x1b[31mred", "plain.key")})
    assert said.endswith(r"'\x1b[31mred', plain.key")
