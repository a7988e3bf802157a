"""Choices in the words of a prompt, made by its seed: `{red|blue}` and `__animal__`, a line of `animal.txt`.

    resolve_words("a {red|2::blue} __animal__", 7, folder.find)     # "a blue fox", and always so with seed 7

The common part of the sd-dynamic-prompts extension: weights (`2::blue`), several at once (`{2$$a|b|c}`,
`{1-2$$ and $$a|b|c}`, `{2$$__animal__}`), inside each other and inside the lines of files. What is none of these
stays as it stands. A brace or bar that is a letter is written behind a backslash.

A choice hangs on the seed and on which choice of the prompt it is, on nothing else: words that change around it leave
it alone.

Source: https://github.com/adieyal/sd-dynamic-prompts/blob/main/docs/SYNTAX.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise

from allaprima.core.errors import RequestError
from allaprima.core.request import MAX_PROMPT_CHARS

WildcardLine = tuple[float, str]
"""How often a line is chosen beside the others, and the line."""
FindLines = Callable[[str], Sequence[WildcardLine] | None]
"""Returns the lines of a wildcard, None where there is none of that name."""

WILDCARD = re.compile(r"__(?P<name>[^_\s{}|<>](?:[^{}|<>\r\n]{0,198}?[^_\s{}|<>])?)__")
_MAX_DEPTH = 24
_MAX_CHOICES = 2_000
_BOUNDS = re.compile(
    r"\s*(?P<low>\d{0,3})(?P<dash>-?)(?P<high>\d{0,3})\$\$(?:(?P<between>[^$|{}]{0,40})\$\$)?"
)
_WEIGHT = re.compile(r"\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})::")
_ESCAPE = re.compile(r"\\([{}|])")
_SIGN = re.compile(r"\\[{}|]|[{}|]")
_PLAIN = re.compile(r"[^\\{$_]+")
_TAG = re.compile(r"<(?:lora|lyco):[^<>]*$")


def no_wildcards(_name: str) -> None:
    """Find nothing: a `FindLines` for where there is no folder."""


def split_weight(text: str) -> WildcardLine:
    """Return the weight in front of an option such as "0.5::red", 1 where there is none, and the option."""
    found = _WEIGHT.match(text)
    return (1.0, text) if found is None else (float(found[1]), text[found.end() :])


def resolve_words(template: str, seed: int, find: FindLines, *, part: str = "prompt") -> str:
    """Return `template` with every choice in it made; the same text where there is none.

    Args:
        template: words; a prompt or a negative prompt.
        seed: of the picture.
        find: the lines of a wildcard.
        part: which words of the request these are; other words choose otherwise with the same seed.

    Raises:
        RequestError: files name each other in a circle, braces lie too deep in each other, or it comes to too much.
    """
    if len(template) > MAX_PROMPT_CHARS or not ("{" in template or "__" in template):
        return template
    resolved = _Resolver(seed, find).words(template, part, ())
    return template if resolved == template else re.sub(r" {2,}", " ", resolved).strip()


@dataclass
class _Resolver:
    """One prompt on its way; counts what it has done, so that no file makes it endless."""

    seed: int
    find: FindLines
    choices: int = 0
    _lines: dict[str, Sequence[WildcardLine] | None] = field(default_factory=dict)

    def words(self, text: str, place: str, inside: tuple[str, ...]) -> str:
        """Return `text` resolved; `place` tells its choices from others, `inside` are the files it came from."""
        if place.count("/") > _MAX_DEPTH:
            raise RequestError(
                f"got choices more than {_MAX_DEPTH} deep in each other; expected fewer", field="prompt"
            )
        done, length, number, at = [""], 0, 0, 0
        braces = _braces(text)
        while at < len(text):
            said, after = self._next(text, at, braces.get(at), f"{place}/{number}", inside)
            if said is None:
                said = text[at:after]
            else:
                number += 1
            done.append(said)
            length += len(said)
            if length > MAX_PROMPT_CHARS:
                message = (
                    f"got choices that come to more than {MAX_PROMPT_CHARS:,} characters; expected fewer"
                )
                raise RequestError(message, field="prompt")
            at = after
        return "".join(done)

    def _next(
        self, text: str, at: int, brace: _Brace | None, place: str, inside: tuple[str, ...]
    ) -> tuple[str | None, int]:
        """Return what the choice at `at` comes to, None where there is none, and where the text goes on."""
        if plain := _PLAIN.match(text, at):
            return None, plain.end()
        if escaped := _ESCAPE.match(text, at):
            return escaped[1], escaped.end()
        if brace is not None and not brace.is_variable and brace.is_choice(text):
            return self._chosen(brace.options(text), place, inside), brace.close + 1
        named = WILDCARD.match(text, at)
        if named and not _TAG.search(text, max(0, at - 200), at):  # the name of a LoRA is no wildcard's
            lines = self._lines_of(named["name"], inside)
            if lines is not None:
                return self._pick(lines, place, (*inside, named["name"])), named.end()
        return None, at + 1

    def _chosen(self, options: list[str], place: str, inside: tuple[str, ...]) -> str:
        """Return one of the options of a pair of braces, or so many as are asked for."""
        bounds = _BOUNDS.match(options[0])
        if bounds is None:
            return self._pick([split_weight(one) for one in options], place, inside)
        lines = [split_weight(one) for one in (options[0][bounds.end() :], *options[1:])]
        named = WILDCARD.fullmatch(lines[0][1].strip()) if len(lines) == 1 else None
        if named and (listed := self._lines_of(named["name"], inside)) is not None:
            lines, inside = list(listed), (*inside, named["name"])
        least, most = _limits(bounds, len(lines))
        count = least + int(self._share(f"{place}#") * (most - least + 1))
        picked = []
        for number in range(count):
            at = self._index([weight for weight, _ in lines], f"{place}.{number}")
            picked.append(self.words(lines.pop(at)[1], f"{place}.{number}", inside))
        between = ", " if bounds["between"] is None else bounds["between"]
        return between.join(picked)

    def _pick(self, lines: Sequence[WildcardLine], place: str, inside: tuple[str, ...]) -> str:
        at = self._index([weight for weight, _ in lines], place)
        return self.words(lines[at][1], place, inside)

    def _index(self, weights: list[float], place: str) -> int:
        """Return which of several is chosen, by their weights; alike where all of them are 0."""
        self.choices += 1
        if self.choices > _MAX_CHOICES:
            raise RequestError(
                f"got more than {_MAX_CHOICES:,} choices in a prompt; expected fewer", field="prompt"
            )
        total = sum(weights)
        weights = weights if total > 0 else [1.0] * len(weights)
        left = self._share(place) * sum(weights)
        for number, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return number
        return max(number for number, weight in enumerate(weights) if weight > 0)

    def _share(self, place: str) -> float:
        """Return a number from 0 to 1 that hangs on seed and place alone, on every machine."""
        digest = blake2b(f"{self.seed}:{place}".encode(errors="replace"), digest_size=8).digest()
        return (int.from_bytes(digest) >> 11) / 2**53

    def _lines_of(self, name: str, inside: tuple[str, ...]) -> Sequence[WildcardLine] | None:
        if name in inside:
            circle = " -> ".join((*inside[inside.index(name) :], name))
            raise RequestError(
                f"got wildcards that name each other in a circle: {circle[:200]}; expected an end",
                field="prompt",
            )
        if name not in self._lines:
            self._lines[name] = self.find(name) or None
        return self._lines[name]


@dataclass
class _Brace:
    """A pair of braces in a text."""

    open: int
    is_variable: bool
    """Whether it is one of the extension's `${name}`, which are not followed."""
    close: int = -1
    bars: list[int] = field(default_factory=list)
    """Where its options part."""

    def is_choice(self, text: str) -> bool:
        """Return whether it offers one: {cat} does not."""
        return bool(self.bars) or _BOUNDS.match(text, self.open + 1, self.close) is not None

    def options(self, text: str) -> list[str]:
        """Return the words between its bars."""
        edges = [self.open, *self.bars, self.close]
        return [text[start + 1 : end] for start, end in pairwise(edges)]


def _braces(text: str) -> dict[int, _Brace]:
    """Return the pairs of braces that are closed, by where they open."""
    opened: list[_Brace] = []
    closed = {}
    for sign in _SIGN.finditer(text):
        if sign[0] == "{":
            opened.append(_Brace(sign.start(), text[sign.start() - 1 : sign.start()] == "$"))
        elif sign[0] == "}" and opened:
            brace = opened.pop()
            brace.close = sign.start()
            closed[brace.open] = brace
        elif sign[0] == "|" and opened:
            opened[-1].bars.append(sign.start())
    return closed


def _limits(bounds: re.Match[str], options: int) -> tuple[int, int]:
    """Return the fewest and the most that are chosen of so many options."""
    low, dash, high = bounds["low"], bounds["dash"], bounds["high"]
    least = int(low) if low else 1
    most = int(high) if high else options if dash else least
    least, most = min(least, options), min(most, options)
    return min(least, most), max(least, most)
