"""Choices in the words of a prompt."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allaprima.core.errors import RequestError
from allaprima.core.request_policy import choose_words
from allaprima.core.wildcards import WildcardLine, no_wildcards, resolve_words, split_weight

FILES: dict[str, list[WildcardLine]] = {
    "animal": [(1.0, "cat"), (1.0, "fox")],
    "place": [(1.0, "on a {roof|beach}"), (1.0, "with a __animal__")],
    "a": [(1.0, "__b__")],
    "b": [(1.0, "x __a__")],
    "wide": [(1.0, "__animal__ " * 3000)],
}
SEEDS = range(400)


def resolved(template: str, seeds: range = SEEDS) -> Counter[str]:
    return Counter(resolve_words(template, seed, FILES.get) for seed in seeds)


@pytest.mark.parametrize(
    ("template", "outcomes"),
    [
        ("a {red|blue} cat", {"a red cat", "a blue cat"}),
        ("a {big|} cat", {"a big cat", "a cat"}),
        ("a {{dark|light} red|blue} cat", {"a dark red cat", "a light red cat", "a blue cat"}),
        ("__animal__", {"cat", "fox"}),
        ("a __animal__ __place__", {
            *(f"a {animal} on a {place}" for animal in ("cat", "fox") for place in ("roof", "beach")),
            *(f"a {animal} with a {other}" for animal in ("cat", "fox") for other in ("cat", "fox")),
        }),
        ("{__animal__|dog}", {"cat", "fox", "dog"}),
        ("{2$$a|b|c}", {"a, b", "b, a", "a, c", "c, a", "b, c", "c, b"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{1-2$$ $$a|b}", {"a", "b", "a b", "b a"}),
        ("{-2$$a|b}", {"a", "b", "a, b", "b, a"}),
        ("{2-$$a|b|c}", {"a, b", "b, a", "a, c", "c, a", "b, c", "c, b", *map(", ".join, (
            "abc", "acb", "bac", "bca", "cab", "cba"))}),
        ("{9$$a|b}", {"a, b", "b, a"}),
        ("{0-1$$a|b} cat", {"cat", "a cat", "b cat"}),
        ("{2$$__animal__}", {"cat, fox", "fox, cat"}),
        ("{0::a|b}", {"b"}),
        ("{0::a|0::b}", {"a", "b"}),
        (r"\{a\|b\} {c|d}", {"{a|b} c", "{a|b} d"}),
    ],
)  # fmt: skip
def test_every_outcome_comes_and_no_other(template: str, outcomes: set[str]) -> None:
    assert set(resolved(template)) == outcomes


@pytest.mark.parametrize(
    "text",
    [
        "a cat", "{cat}", "{{cat}}", "a {cat|dog", "a cat|dog}", "__unknown__", "snake__case", "__", "____", "_ _",
        "${season=summer} and ${season}", "${a|b}", r"(cat:1.2) \(x\)", "  a  cat ", "<lora:my__animal__v2:1> cat",
        "x" * 10_001 + "{a|b}",
    ],
)  # fmt: skip
def test_what_is_no_choice_stays_to_the_letter(text: str) -> None:
    assert resolved(text, range(5)) == {text: 5}


def test_weights_say_how_often() -> None:
    assert 0.7 < resolved("{3::a|b}")["a"] / len(SEEDS) < 0.8
    assert split_weight("0.5::a::b") == (0.5, "a::b")
    assert split_weight("std::vector") == (1.0, "std::vector")


def test_a_choice_hangs_on_its_seed_and_its_place_alone() -> None:
    for seed in range(20):
        first, second = resolve_words("{a|b|c} {a|b|c}", seed, no_wildcards).split()
        changed = resolve_words("a lion {x{1|2}|y{1|2}|z{1|2}} at sea {a|b|c}", seed, no_wildcards)
        assert changed.split()[2][0] == {"a": "x", "b": "y", "c": "z"}[first]
        assert changed.split()[-1] == second
    assert resolve_words("a {red|green|blue} {big|small} __animal__", 7, FILES.get) == PINNED


PINNED = "a red small fox"
"""For ever: a request that is sent again with its seed and template is the same picture."""


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("__a__", "in a circle: a -> b -> a"),
        ("__wide__", "more than"),
        ("{" * 40 + "a" + "|0::b}" * 40, "deep in each other"),
        ("{" + "__wide__|" * 9 + "}" + "{a|b}" * 1900, "expected fewer"),
    ],
)
def test_what_has_no_end_is_refused(template: str, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        resolved(template, range(30))


@pytest.mark.parametrize("unit", ["{", "}", "{a|", "__", "{1$$", "\\", "_a__", "${", "{{cat}}", "__animal"])
def test_hostile_words_cost_no_more_than_their_length(unit: str) -> None:
    started = time.process_time()
    with suppress(RequestError):
        resolve_words((unit * 10_000)[:10_000], 1, FILES.get)
    assert time.process_time() - started < 2


@given(st.text(alphabet="ab{}|$_:1-\\ #", max_size=60), st.integers(0, 2**63))
def test_any_text_comes_to_words_or_to_a_sentence(text: str, seed: int) -> None:
    with suppress(RequestError):
        assert resolve_words(text, seed, FILES.get) == resolve_words(text, seed, FILES.get)


def test_the_template_stays_beside_the_words() -> None:
    given = {"prompt": "a {red|blue} cat", "negative_prompt": "rain", "seed": 3}
    chosen = choose_words(given, no_wildcards)
    assert chosen["prompt"] in ("a red cat", "a blue cat")
    assert (chosen["template"], chosen["negative_template"]) == ("a {red|blue} cat", "")
    assert choose_words(chosen, no_wildcards) == chosen
    assert choose_words({"prompt": "{a|b}", "template": "{{a|b}|c}"}, no_wildcards)["prompt"] == "{a|b}"
    assert choose_words({"prompt": 7}, no_wildcards) == {"prompt": 7}
