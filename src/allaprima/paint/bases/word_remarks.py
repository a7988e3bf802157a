"""What a text encoder does not read, or does not read as other programs do: remarks for the person who wrote it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from allaprima.core.request import GenerationRequest
from allaprima.core.wildcards import WILDCARD

_SYNTAX = re.compile(
    r"\([^()]*:\s*[+-]?(?:\d++(?:\.\d*+)?|\.\d++)\s*\)"  # (cat:1.3)
    r"|\(\([^()]*\)"  # ((cat))
    r"|\[[^\[\]]*\]"  # [cat], [cat:dog:0.5], [cat|dog]
    r"|\)(?:[+-]++|\d*+\.\d)|\w\+{2,}+"  # (cat)1.3, (cat)--, cat++
    r"|\{[^{}]*\}"  # {cat}, which offers no choice
    r"|\{[^{}|]*\|[^{}]*$"  # {cat|dog, a choice that is not closed
    r"|<\w{1,40}:[^<>]*>|\bembedding:[\w.-]+"  # <hypernet:ink:1>, embedding:ink
    r"|\b(?:BREAK|AND)\b"
)
"""How other programs weight, schedule, choose and part the words of a prompt, and name files inside it.

Numbers are possessive: hostile words must not cost their length squared.
"""

_WEIGHT = re.compile(r"\(([^()]*[^()\d\s]):(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})\)")
"""What is surely a weight, (cat:1.3), and nothing that a person writes otherwise, as (at 12:30) is."""
_SCHEDULE = re.compile(r"\||:\s*[+-]?[\d.]++\s*\]$")
"""What makes square brackets more than a weight: [cat|dog], [cat:dog:0.5]."""

_NUMBER = re.compile(r"(?<!\\)\([^()]*:\s*[+-]?(\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})\s*\)")
_STRONGEST = 4.0
"""Beyond it a number is hardly meant as a weight: (at 12:30)."""

_MOST_CHARS = 60
_MOST_NESTED = 4


def without_weights(text: str) -> str:
    """Return `text` with what is surely a weight, (cat:1.3), as its words alone: for a base that follows none."""
    for _ in range(_MOST_NESTED):
        text = _WEIGHT.sub(r"\1", text)
    return text


def remarks_on_words(
    request: GenerationRequest, find_unread: Callable[[str], str], *, guides: bool, weighs: bool
) -> tuple[str, ...]:
    """Return a sentence for each part of the request's words that does nothing, or is read as letters.

    Args:
        request: whose prompt and, where it counts, negative prompt are looked at.
        find_unread: returns the end of a text that is beyond what the base reads; "" where it reads all.
        guides: whether the negative prompt is read.
        weighs: whether the base reads weights in words, see `prompt_weights`; another reads them `without_weights`.
    """
    texts = {"prompt": request.prompt} | ({"negative prompt": request.negative_prompt} if guides else {})
    return tuple(remark for what, text in texts.items() for remark in _about(what, text, find_unread, weighs))


def _about(what: str, text: str, find_unread: Callable[[str], str], weighs: bool) -> Iterator[str]:
    if not weighs and (found := _WEIGHT.search(text)):
        yield f"the {what} holds {_short(found[0])}, a weight, of which this base reads the words alone"
    plain = text if weighs else without_weights(text)
    if unread := find_unread(plain).strip():
        yield f"the end of the {what} is beyond what the base reads and does nothing: {_short(unread)}"
    strong = (found for found in _NUMBER.finditer(text) if weighs and float(found[1]) > _STRONGEST)
    if found := next(strong, None):
        yield (
            f"the {what} holds {_short(found[0])}, which this base reads as a weight of {float(found[1]):g}; "
            r"brackets that are letters are written \( and \)"
        )
    if found := WILDCARD.search(text):
        yield f"the {what} holds {_short(found[0])}, a wildcard without a file, which this base reads as letters"
        plain = WILDCARD.sub("", plain)
    strange = (found[0] for found in _SYNTAX.finditer(plain) if not (weighs and _is_weight(found[0])))
    if sign := next(strange, ""):
        yield f"the {what} holds {_short(sign)}, which this base reads as letters, not as a weight or a command"


def _is_weight(sign: str) -> bool:
    """Return whether a part of a prompt is a weight, or BREAK, to a base that weighs words."""
    return sign == "BREAK" or sign[0] == "(" or (sign[0] == "[" and _SCHEDULE.search(sign) is None)


def _short(text: str) -> str:
    return repr(text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 3] + "...")
