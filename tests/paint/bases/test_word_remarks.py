from __future__ import annotations

import time

import pytest

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.word_remarks import remarks_on_words, without_weights

FOLLOWED = ("a ((cat))", "a [cat]", "a cat BREAK a dog", "(a: .5)", "(((a cat), b), c)")
"""Of the prompts below, those that a base that weighs words follows."""


def ask(prompt: str, negative: str = "") -> GenerationRequest:
    return GenerationRequest(prompt=prompt, negative_prompt=negative)


def beyond(text: str) -> str:
    """Return what is beyond the fifth word."""
    return " ".join(text.split()[5:])


def test_a_cut_end_is_quoted() -> None:
    assert remarks_on_words(ask("one two three four five"), beyond, guides=True, weighs=False) == ()
    (remark,) = remarks_on_words(ask("one two three four five six"), beyond, guides=True, weighs=False)
    assert remark == "the end of the prompt is beyond what the base reads and does nothing: 'six'"
    long = ask("x", " ".join(["word"] * 90))
    (remark,) = remarks_on_words(long, beyond, guides=True, weighs=False)
    assert "the end of the negative prompt" in remark
    assert len(remark) < 160
    assert remarks_on_words(long, beyond, guides=False, weighs=False) == ()


@pytest.mark.parametrize(
    "prompt",
    [
        "a ((cat))",
        "a [cat]",
        "a [cat:dog:0.5]",
        "a cat BREAK a dog",
        "a cat AND a dog",
        "(a: .5)",
        "(((a cat), b), c)",
        "a (cat)1.3",
        "a (cat)++",
        "a cat++ here",
        "a {cat}",
        "a {cat|dog}",
        "an __animal__ here",
        "a cat <hypernet:ink:0.5>",
        "a cat <LoRA:ink:0.5>",
        "a cat, embedding:ink",
    ],
)
def test_weights_that_are_read_as_letters_are_named(prompt: str) -> None:
    (remark,) = remarks_on_words(ask(prompt), beyond, guides=True, weighs=False)
    assert remark.startswith("the prompt holds ")
    assert "as letters" in remark
    (follows,) = remarks_on_words(ask(prompt), beyond, guides=True, weighs=True) or ("",)
    assert follows == ("" if prompt in FOLLOWED else remark)


@pytest.mark.parametrize("prompt", ["a (cat:1.3) here", "(a (cat:1.3):.5), b", "(a: b:1.)"])
def test_what_is_surely_a_weight_is_read_without_it_and_named(prompt: str) -> None:
    (remark,) = remarks_on_words(ask(prompt), beyond, guides=True, weighs=False)
    assert "a weight, of which this base reads the words alone" in remark
    assert remarks_on_words(ask(prompt), beyond, guides=True, weighs=True) == ()


def test_a_number_that_is_hardly_a_weight_is_told_where_it_is_one() -> None:
    (remark,) = remarks_on_words(ask("a clock (at 12:30)"), beyond, guides=True, weighs=True)
    assert remark.startswith("the prompt holds '(at 12:30)', which this base reads as a weight of 30; ")
    for prompt in (r"a clock \(at 12:30\)", "a clock (at 12:3)", "a clock at 12:30)"):
        assert remarks_on_words(ask(prompt), beyond, guides=True, weighs=True) == ()


def test_only_what_is_surely_a_weight_is_taken_off() -> None:
    assert without_weights("a (red (cat:1.3):.5), (b c:2)") == "a red cat, b c"
    for text in ("a clock (at 12:30)", "a (cat: 1)", "((cat))", "a sign (BREAK)", r"\(cat:1\)", "(:1)"):
        assert without_weights(text) == text


def test_a_tag_in_the_negative_prompt_is_read_as_letters() -> None:
    (remark,) = remarks_on_words(ask("a cat", "<lora:ink:1>"), beyond, guides=True, weighs=False)
    assert remark.startswith("the negative prompt holds '<lora:ink:1>'")


@pytest.mark.parametrize(
    "piece", ["(:", "(:1", "1", ".", "(", "((", "[", "{", "<", "<a:", "__", "_a", "+", ")", ")1", ":"]
)
def test_hostile_words_cost_no_time(piece: str) -> None:
    started = time.process_time()
    for head in ("", "(:", "<a:", "__", ")"):
        for weighs in (False, True):
            remarks_on_words(ask((head + piece * 9_999)[:9_999]), lambda _: "", guides=True, weighs=weighs)
    assert time.process_time() - started < 0.4


@pytest.mark.parametrize(
    "prompt", ["a cat (black)", "a clock at 12:30", "a lunch break", "1 + 1", "a<b, c>d", "snake_case"]
)
def test_ordinary_words_are_no_weights(prompt: str) -> None:
    assert remarks_on_words(ask(prompt), beyond, guides=True, weighs=False) == ()
