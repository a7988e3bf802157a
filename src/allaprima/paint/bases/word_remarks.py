"""What a text encoder does not read, or does not read as other programs do: remarks for the person who wrote it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from allaprima.core.request import GenerationRequest

_SYNTAX = re.compile(
    r"\([^()]*:\s*[+-]?(?:\d++(?:\.\d*+)?|\.\d++)\s*\)"  # (cat:1.3)
    r"|\(\([^()]*\)"  # ((cat))
    r"|\[[^\[\]]*\]"  # [cat], [cat:dog:0.5], [cat|dog]
    r"|\)(?:[+-]++|\d*+\.\d)|\w\+{2,}+"  # (cat)1.3, (cat)--, cat++
    r"|\{[^{}]*\}"  # {cat}, {cat|dog}
    r"|__[\w/*.-]{1,100}?__"  # __animal__
    r"|<\w{1,40}:[^<>]*>|\bembedding:[\w.-]+"  # <lyco:ink:1>, embedding:ink
    r"|\b(?:BREAK|AND)\b"
)
"""How other programs weight, schedule, choose and part the words of a prompt, and name files inside it.

Numbers are possessive: hostile words must not cost their length squared.
"""

_MOST_CHARS = 60


def remarks_on_words(
    request: GenerationRequest, find_unread: Callable[[str], str], *, guides: bool, weighs: bool
) -> tuple[str, ...]:
    """Return a sentence for each part of the request's words that does nothing, or is read as letters.

    Args:
        request: whose prompt and, where it counts, negative prompt are looked at.
        find_unread: returns the end of a text that is beyond what the base reads; "" where it reads all.
        guides: whether the negative prompt is read.
        weighs: whether the base reads weights in words.
    """
    texts = {"prompt": request.prompt} | ({"negative prompt": request.negative_prompt} if guides else {})
    return tuple(remark for what, text in texts.items() for remark in _about(what, text, find_unread, weighs))


def _about(what: str, text: str, find_unread: Callable[[str], str], weighs: bool) -> Iterator[str]:
    if unread := find_unread(text).strip():
        yield f"the end of the {what} is beyond what the base reads and does nothing: {_short(unread)}"
    if not weighs and (found := _SYNTAX.search(text)):
        yield f"the {what} holds {_short(found[0])}, which this base reads as letters, not as a weight or a command"


def _short(text: str) -> str:
    return repr(text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 3] + "...")
