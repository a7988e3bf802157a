"""Cutting a prompt into the phrases that Vignette's words know.

    cut("a cat on the left, 屋顶上")

gives a :class:`allaprima.paint.layout.phrases.Fragment` for each phrase and says which words no phrase holds. English
is matched word by word without its articles, Chinese character by character, both at once; case and punctuation do
not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from allaprima.paint.layout.phrases import Fragment, phrase_tree, tokens_of


@dataclass(frozen=True, slots=True)
class Cut:
    """A prompt in fragments, in its order."""

    fragments: tuple[Fragment, ...]
    unknown: tuple[str, ...]
    """The words and characters that are in no phrase."""


_UNKNOWN_COST: Final = 100
"""What an unknown token costs; a fragment costs 1, so the longest phrases win."""
_GAP: Final = Fragment("filler", "unknown")


def cut(prompt: str) -> Cut:
    """Return the prompt in as few fragments as hold as much of it as possible."""
    tokens = tokens_of(prompt)
    words, phrases = [token for token, _ in tokens], phrase_tree()
    costs, steps = [0] * (len(words) + 1), [(0, _GAP)] * len(words)
    for start in reversed(range(len(words))):
        best, steps[start] = costs[start + 1] + _UNKNOWN_COST, (start + 1, _GAP)
        branch = phrases
        for end in range(start, len(words)):
            if words[end] not in branch:
                break
            branch = branch[words[end]]
            fragment = branch.get("")
            if fragment is not None and costs[end + 1] + 1 <= best:
                best, steps[start] = costs[end + 1] + 1, (end + 1, fragment)
        costs[start] = best
    return _collect(tokens, steps)


def _collect(tokens: list[tuple[str, int]], steps: list[tuple[int, Fragment]]) -> Cut:
    """Follow the steps; a lone character beside an unknown one is a part of a word that is not known."""
    spans: list[tuple[int, int, Fragment]] = []
    start = 0
    while start < len(tokens):
        end, fragment = steps[start]
        spans.append((start, end, fragment))
        start = end
    gaps = {start for start, _, fragment in spans if fragment is _GAP and not tokens[start][0].isascii()}
    fragments, unknown = [], []
    for start, end, fragment in spans:
        lone = end == start + 1 and not tokens[start][0].isascii() and fragment.role in _CONTENT
        joined = any(near in gaps and _touch(tokens, near, start) for near in (start - 1, start + 1))
        if fragment is _GAP or (lone and joined):
            unknown.append(tokens[start][0])
        else:
            fragments.append(fragment)
    return Cut(tuple(fragments), tuple(unknown))


_CONTENT: Final = frozenset(("subject", "place", "hour", "weather"))


def _touch(tokens: list[tuple[str, int]], one: int, other: int) -> bool:
    """Return whether nothing stands between two neighbouring characters."""
    return abs(tokens[one][1] - tokens[other][1]) == 1
