"""Pieces of 75 tokens, where A1111's rule cuts them; here every letter is a token."""

from __future__ import annotations

import pytest
from tests.tiny_sdxl import letter_tokenizer

from allaprima.paint.bases.sdxl.prompt_pieces import MAX_PIECES, Piece, cut_into_pieces, find_unread

TOKENIZER = letter_tokenizer("!")
LENGTH = 77


def cut(prompt: str) -> list[Piece]:
    return cut_into_pieces(prompt, TOKENIZER, LENGTH)


def words_of(piece: Piece) -> str:
    end = piece.ids.index(TOKENIZER.eos_token_id)
    return str(TOKENIZER.decode([*piece.ids[1:end]]))


def test_a_short_prompt_is_what_the_tokenizer_itself_makes_of_it() -> None:
    for prompt in ("", "a cat", "x" * 75):
        (piece,) = cut(prompt)
        whole = TOKENIZER(prompt, padding="max_length", max_length=LENGTH, truncation=True)
        assert [*piece.ids] == whole["input_ids"]
        assert piece.weights == (1.0,) * LENGTH


@pytest.mark.parametrize(
    ("prompt", "lengths"),
    [
        ("x" * 75, [75]),
        ("x" * 76, [75, 1]),
        ("x" * 150, [75, 75]),
        ("x" * 54 + " , " + "x" * 20, [75]),  # full, and nothing follows
        ("x" * 54 + " , " + "x" * 21, [75, 1]),  # the comma is the 21st from the end
        ("x" * 55 + " , " + "x" * 20, [56, 20]),  # the 20th: what is behind it moves on
        ("x" * 74 + " , " + "x", [75, 1]),
        ("x" * 75 + " , " + "x", [75, 2]),  # a comma that is cut off begins the next piece
        ("x" * 60 + " , " + "x" * 9 + " , " + "x" * 9, [71, 9]),  # the last comma
        ("a cat BREAK a dog", [4, 4]),
        ("a cat BREAK", [4]),
        ("BREAK a cat", [0, 4]),
        ("a BREAK BREAK b", [1, 0, 1]),
        ("BREAK", [0]),
        ("x" * 80 + " BREAK " + "y", [75, 5, 1]),
    ],
)
def test_pieces_end_where_a1111_ends_them(prompt: str, lengths: list[int]) -> None:
    pieces = cut(prompt)
    assert [piece.ids.index(TOKENIZER.eos_token_id) - 1 for piece in pieces] == lengths
    assert all(len(piece.ids) == len(piece.weights) == LENGTH for piece in pieces)


def test_each_token_has_its_weight_and_marks_have_none() -> None:
    first, second = cut("ab (cd:1.5) BREAK [e]")
    assert first.weights[:6] == (1.0, 1.0, 1.0, 1.5, 1.5, 1.0)
    assert second.weights[:3] == (1.0, 1 / 1.1, 1.0)
    assert words_of(first).replace(" ", "") == "abcd"


def test_what_is_beyond_the_last_piece_is_told() -> None:
    prompt = "x" * (75 * MAX_PIECES)
    assert find_unread(prompt, TOKENIZER, LENGTH) == ""
    assert find_unread(f"{prompt} (balloon)", TOKENIZER, LENGTH).strip() == "balloon"
    assert len(cut(f"{prompt} (balloon)")) == MAX_PIECES
