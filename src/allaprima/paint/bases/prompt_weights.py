r"""Weights in words, as A1111 reads them.

    (cat)  ((cat))  (cat:1.3)  [cat]        1.1, 1.21, 1.3 and 1 / 1.1 times as strong
    a cat BREAK a dog                       two parts, each encoded by itself
    a cat \(black\)                         brackets that are letters

Brackets multiply; one that is never closed reaches to the end. A number counts in round brackets alone.

Source of the rule: `parse_prompt_attention` in `modules.prompt_parser` of AUTOMATIC1111/stable-diffusion-webui.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby

ROUND, SQUARE = 1.1, 1.0 / 1.1
"""What a pair of brackets multiplies by."""

MAX_WEIGHT = 10_000.0
"""Where weights end, for brackets may be nested without end, and states that overflow paint nothing."""

_NUMBER = r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})"
_TOKEN = re.compile(
    r"\\[()\[\]\\]"  # a bracket or backslash that is a letter
    rf"|:\s{{0,9}}({_NUMBER})\s{{0,9}}\)"  # the end of (cat:1.3)
    r"|\s*+\b(BREAK)\b\s*+|[()\[\]]"
    r"|(?:(?!\s*+\bBREAK\b)[^\\()\[\]:])++|."
    , re.DOTALL,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """Words, and how strongly they count."""

    text: str
    weight: float = 1.0


def read_weights(prompt: str) -> list[list[Weighted]]:
    """Return the parts of `prompt` between BREAKs, each as words of one weight after the other; at least one part."""
    texts: list[str] = []
    weights: list[float] = []
    parts: list[int] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}
    part = 0

    def multiply(start: int, by: float) -> None:
        weights[start:] = [weight * by for weight in weights[start:]]

    for match in _TOKEN.finditer(prompt):
        sign, number = match[0], match[1]
        if match[2]:
            part += 1
        elif sign in opened:
            opened[sign].append(len(weights))
        elif number is not None and opened["("]:
            multiply(opened["("].pop(), float(number))
        elif sign == ")" and opened["("]:
            multiply(opened["("].pop(), ROUND)
        elif sign == "]" and opened["["]:
            multiply(opened["["].pop(), SQUARE)
        else:
            texts.append(sign.removeprefix("\\"))
            weights.append(1.0)
            parts.append(part)
    for sign, by in (("(", ROUND), ("[", SQUARE)):
        for start in opened[sign]:
            multiply(start, by)
    return _joined(texts, weights, parts, part + 1)


def _joined(texts: list[str], weights: list[float], parts: list[int], count: int) -> list[list[Weighted]]:
    """Return the words by their parts, neighbours of one weight as one."""
    joined: list[list[Weighted]] = [[] for _ in range(count)]
    words = zip(texts, weights, parts, strict=True)
    for (weight, part), run in groupby(words, key=lambda word: word[1:]):
        bounded = max(-MAX_WEIGHT, min(weight, MAX_WEIGHT))
        joined[part].append(Weighted(text="".join(text for text, _, _ in run), weight=bounded))
    return joined
