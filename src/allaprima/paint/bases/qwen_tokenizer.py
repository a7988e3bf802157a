"""The tokenizer of Qwen2, Qwen2.5-VL and Qwen3, for text encoders in single files, which bring none.

It is built from the merges that ship: the pieces are 256 bytes, then one per merge, then the marks of a conversation.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from allaprima.paint.bases.byte_pairs import byte_letters, read_merges

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer

_SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
_PLAIN = (
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
    "<|repo_name|>", "<|file_sep|>",
)  # fmt: skip
_PLAIN_SINCE_QWEN3 = ("<tool_response>", "</tool_response>", "<think>", "</think>")
"""The marks behind the 151,643 pieces, in order; the plain ones are read as text."""


@cache
def qwen_tokenizer(*, thinks: bool = False) -> Qwen2Tokenizer:
    """Return the tokenizer of Qwen2.5, or that of Qwen3, which `thinks`."""
    from tokenizers import AddedToken
    from transformers import Qwen2Tokenizer

    merges: Any = read_merges("qwen_merges.txt.gz")
    pieces = [*byte_letters(), *map("".join, merges)]
    tokenizer = Qwen2Tokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)}, merges=merges, model_max_length=131_072
    )
    plain = (*_PLAIN, *(_PLAIN_SINCE_QWEN3 if thinks else ()))
    tokenizer.add_tokens([
        *(AddedToken(mark, normalized=False, special=True) for mark in _SPECIAL),
        *(AddedToken(mark, normalized=False, special=False) for mark in plain),
    ])  # fmt: skip
    tokenizer.add_special_tokens({"additional_special_tokens": list(_SPECIAL[1:])})
    return tokenizer


def qwen3_tokenizer() -> Qwen2Tokenizer:
    """Return the tokenizer of Qwen3."""
    return qwen_tokenizer(thinks=True)
