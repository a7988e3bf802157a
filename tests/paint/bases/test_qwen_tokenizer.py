"""The tokenizer that ships against what Qwen's own gives: ids from its public vocabulary."""

from __future__ import annotations

import pytest

from allaprima.paint.bases.byte_pairs import byte_letters, read_merges
from allaprima.paint.bases.qwen_image.text import TEMPLATE, TEMPLATE_TOKENS
from allaprima.paint.bases.qwen_tokenizer import qwen_tokenizer


def test_it_has_all_pieces_and_marks_at_their_places() -> None:
    assert len(read_merges("qwen_merges.txt.gz")) == 151_387
    assert len(set(byte_letters())) == 256
    words = qwen_tokenizer()
    assert (len(words), len(qwen_tokenizer(thinks=True))) == (151_665, 151_669)
    marks = {"<|endoftext|>": 151_643, "<|im_start|>": 151_644, "<|im_end|>": 151_645, "<|vision_start|>": 151_652,
             "<|video_pad|>": 151_656, "<tool_call>": 151_657, "<|file_sep|>": 151_664}  # fmt: skip
    assert {mark: words.convert_tokens_to_ids(mark) for mark in marks} == marks
    assert qwen_tokenizer(thinks=True).convert_tokens_to_ids("</think>") == 151_668
    assert words.pad_token == "<|endoftext|>"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello, world!", [9707, 11, 1879, 0]),
        ("hello world", [14990, 1879]),
        ("1234", [16, 17, 18, 19]),
        ("你好", [108386]),
    ],
)
def test_words_become_the_published_tokens(text: str, tokens: list[int]) -> None:
    assert qwen_tokenizer()(text)["input_ids"] == tokens


def test_the_template_is_as_long_as_it_was_in_training() -> None:
    before = TEMPLATE.partition("{}")[0]
    assert len(qwen_tokenizer()(before)["input_ids"]) == TEMPLATE_TOKENS


@pytest.mark.parametrize(
    "text", ["naïve café", "雨, blurry", "🙂 a\tb\n\n", "<|im_start|>x<|im_end|>", "한국어"]
)
def test_texts_come_back(text: str) -> None:
    words = qwen_tokenizer()
    assert words.decode(words(text)["input_ids"]) == text
