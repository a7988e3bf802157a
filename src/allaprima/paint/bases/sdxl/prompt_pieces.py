"""A prompt of any length as pieces of 75 tokens, each token with its weight, as A1111 cuts it.

CLIP reads 77 tokens at once, two of which are its marks of beginning and end. A longer prompt is cut where a piece is
full, or behind its last comma if that is among its last 20 tokens; BREAK ends a piece early.

Source of the rule: `tokenize_line` in `modules.sd_hijack_clip` of AUTOMATIC1111/stable-diffusion-webui.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import CLIPTokenizer

from allaprima.paint.bases.prompt_weights import read_weights

MAX_PIECES = 32
"""The most that are read of a prompt: 2,400 tokens. A piece takes a second on a processor."""
COMMA_REACH = 20
"""How many of a full piece's last tokens are looked at for a comma."""
Token = tuple[int, float]
"""A number in the vocabulary, and how strongly it counts."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What an encoder reads at once."""

    ids: tuple[int, ...]
    """The numbers of its tokens, between the marks of beginning and end, padded."""
    weights: tuple[float, ...]
    """How strongly each counts; 1 for marks and padding."""


def cut_into_pieces(prompt: str, tokenizer: CLIPTokenizer, length: int) -> list[Piece]:
    """Return the pieces of `prompt`, each of `length` tokens, marks included: 1 to `MAX_PIECES`."""
    pieces = _tokens_of_pieces(prompt, tokenizer, length - 2)[:MAX_PIECES]
    return [_to_piece(tokens, tokenizer, length) for tokens in pieces]


def find_unread(prompt: str, tokenizer: CLIPTokenizer, length: int) -> str:
    """Return what of `prompt` is beyond `MAX_PIECES`, as the tokenizer spells it; "" where there is nothing."""
    beyond = _tokens_of_pieces(prompt, tokenizer, length - 2)[MAX_PIECES:]
    return str(tokenizer.decode([token for tokens in beyond for token, _ in tokens]))


def _tokens_of_pieces(prompt: str, tokenizer: CLIPTokenizer, room: int) -> list[list[Token]]:
    comma = tokenizer(",", add_special_tokens=False)["input_ids"][0]
    *parts, last = (
        [
            (token, words.weight)
            for words in part
            for token in tokenizer(words.text, add_special_tokens=False, verbose=False)["input_ids"]
        ]
        for part in read_weights(prompt)
    )
    pieces = [piece for part in parts for piece in _cut(part, room, comma)]
    return [*pieces, *_cut(last, room, comma)] if last or not pieces else pieces


def _cut(tokens: Sequence[Token], room: int, comma: int) -> Iterator[list[Token]]:
    """Yield the tokens of each piece, at least one, which may be empty."""
    start = 0
    while len(tokens) - start > room:
        end = start + room
        near = (at + 1 for at in range(end - 1, end - 1 - COMMA_REACH, -1) if tokens[at][0] == comma)
        stop = end if tokens[end][0] == comma else next(near, end)
        yield [*tokens[start:stop]]
        start = stop
    yield [*tokens[start:]]


def _to_piece(tokens: Sequence[Token], tokenizer: CLIPTokenizer, length: int) -> Piece:
    padding = length - 2 - len(tokens)
    ids, weights = zip(*tokens, strict=True) if tokens else ((), ())
    return Piece(
        ids=(
            tokenizer.bos_token_id,
            *ids,
            tokenizer.eos_token_id,
            *[tokenizer.pad_token_id] * padding,
        ),
        weights=(1.0, *weights, 1.0, *[1.0] * padding),
    )
