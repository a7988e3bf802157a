from __future__ import annotations

import time

import pytest

from allaprima.paint.bases.prompt_weights import MAX_WEIGHT, read_weights

DOCUMENTED = "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky)))."
"""A1111's own example, in the docstring of its `parse_prompt_attention`, with the weights that it gives there."""


def read(prompt: str) -> list[list[tuple[str, float]]]:
    return [[(words.text, round(words.weight, 6)) for words in part] for part in read_weights(prompt)]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("", []),
        ("normal text", [("normal text", 1.0)]),
        ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
        ("(unbalanced", [("unbalanced", 1.1)]),
        (r"\(literal\]", [("(literal]", 1.0)]),
        ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
        (
            DOCUMENTED,
            [
                ("a ", 1.0), ("house", 1.573), (" ", 1.1), ("on", 1.0), (" a ", 1.1), ("hill", 0.55),
                (", sun, ", 1.1), ("sky", 1.4641), (".", 1.1),
            ],
        ),
        ("a (cat:1.0) on a roof", [("a cat on a roof", 1.0)]),
        ("[cat]", [("cat", round(1 / 1.1, 6))]),
        ("12:30, (x: -2 ), y:1.3)", [("12:30, ", 1.0), ("x", -2.0), (", y:1.3)", 1.0)]),
        (r"a \\ b \ c", [("a \\ b  c", 1.0)]),
        ("(a:99999)", [("a", MAX_WEIGHT)]),
    ],
)  # fmt: skip
def test_words_have_the_weights_that_a1111_gives_them(prompt: str, words: list[tuple[str, float]]) -> None:
    assert read(prompt) == [words]


def test_break_parts_a_prompt_and_no_longer_word_does() -> None:
    assert read("a cat BREAK\n a dog") == [[("a cat", 1.0)], [("a dog", 1.0)]]
    assert read("(a BREAK b:1.2)") == [[("a", 1.2)], [("b", 1.2)]]
    assert read("BREAK") == [[], []]
    assert read("BREAKFAST break") == [[("BREAKFAST break", 1.0)]]


@pytest.mark.parametrize("piece", ["(", "(:", "[", "\\", " ", "BREAK ", "(:1", "((a)", "(a", ")"])
def test_hostile_words_cost_little_time(piece: str) -> None:
    started = time.process_time()
    words = [words for part in read_weights((piece * 9_999)[:9_999]) for words in part]
    assert time.process_time() - started < 2.0
    assert all(abs(one.weight) <= MAX_WEIGHT for one in words)
