"""PEFT's patterns: a number for the layers whose path ends in a name, or in what an expression finds.

PEFT takes every key of `alpha_pattern` and `rank_pattern` for a regular expression that has to match a path to its
end, from the beginning or from a dot on; the first that does counts. Nearly all of them are plain names, which are
looked up. The others come from strangers, and there are expressions that take hours: those that are understood here
are a few groups of names and a few repeats of one character, and every other is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod

from allaprima.paint.lora.files.layer_names import versions_of

MAX_REPEATS = 2
"""In one expression, but for a leading `.*`: the time to match grows with that power of a path's length."""

MAX_CHOICES = 1024
"""That the groups of all patterns may leave."""

MAX_EXPRESSIONS = 64
"""In all patterns; plain names are not counted."""

_NAME = re.compile(r"\^?[\w.-]+")
_ATOM = r"(?:[\w-]|\\[.dw-]|\.|\[\^?(?:\w(?:-\w)?)+\])"
_EXPRESSION = re.compile(rf"\^?(?:\.[*+])?(?:{_ATOM}[*+?]?)+")
_GROUP = re.compile(r"\((?:\?:)?([^()]*)\)(?![*+?{])")


@dataclass(frozen=True, kw_only=True)
class LayerNumbers:
    """Numbers of single layers.

    Raises:
        ValueError: a pattern is an expression that is not understood here.
    """

    by_pattern: Mapping[str, float] = field(default_factory=dict)
    """The number of each pattern, the first that matches a layer counting."""

    def __post_init__(self) -> None:
        """Refuse what cannot be understood."""
        _ = self._understood

    def find(self, path: str, default: float | None = None) -> float | None:
        """Return the number of the layer at `path`, or `default` if no pattern matches it."""
        places = self._matching(path)
        return self._numbers[min(places)] if places else default

    def unmatched(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Return the patterns that match none of `paths`."""
        matching = set().union(*map(self._matching, paths)) if self.by_pattern else set()
        return tuple(pattern for place, pattern in enumerate(self.by_pattern) if place not in matching)

    def _matching(self, path: str) -> set[int]:
        """Return the places of the patterns that match the layer at `path`."""
        if not self.by_pattern:
            return set()
        places = set()
        for version in versions_of(path):
            names, expressions = self._understood
            places |= {names[end] for end in _ends(version) if end in names}
            places |= {place for expression, place in expressions if expression.fullmatch(version)}
        return places

    @cached_property
    def _numbers(self) -> tuple[float, ...]:
        return tuple(self.by_pattern.values())

    @cached_property
    def _understood(self) -> tuple[dict[str, int], list[tuple[re.Pattern[str], int]]]:
        """The plain names and the expressions, each with the place of the first pattern that it comes from."""
        names: dict[str, int] = {}
        expressions: list[tuple[re.Pattern[str], int]] = []
        num_choices = 0
        for place, pattern in enumerate(self.by_pattern):
            choices = _choices(pattern)
            num_choices += len(choices) - 1
            for choice in choices:
                if _NAME.fullmatch(name := choice.replace(r"\.", ".")):
                    names.setdefault(name, place)
                else:
                    expressions.append((_compile(choice), place))
            if num_choices > MAX_CHOICES or len(expressions) > MAX_EXPRESSIONS:
                raise _refusal(pattern)
        return names, expressions


def _ends(path: str) -> Iterator[str]:
    """Yield the names that a path answers to: all of it, marked as such, and what follows each dot."""
    yield f"^{path}"
    yield path
    while path:
        path = path.partition(".")[2]
        yield path


def _choices(pattern: str) -> list[str]:
    """Return `pattern` without its groups, once for each choice that they leave."""
    plain = pattern.removesuffix("$")
    parts = _GROUP.split(plain if "(" in plain else f"({plain})")
    choices = [part.split("|") if place % 2 else [part] for place, part in enumerate(parts)]
    repeated = any(choice.startswith(("*", "+", "?")) for group in choices for choice in group)
    if repeated or prod(map(len, choices)) > MAX_CHOICES:
        raise _refusal(pattern)
    return ["".join(choice) for choice in product(*choices)]


def _compile(expression: str) -> re.Pattern[str]:
    """Return an expression without groups as one that has to match a whole path."""
    anchored, plain = expression.startswith("^"), expression.removeprefix("^")
    leading = plain.startswith((".*", ".+"))
    repeats = sum(plain.count(sign) for sign in "*+?") - leading
    if repeats > MAX_REPEATS or not _EXPRESSION.fullmatch(expression):
        raise _refusal(expression)
    try:
        return re.compile(plain if anchored or leading else rf"(?:.*\.)?{plain}")
    except re.error as error:
        raise _refusal(expression) from error


def _refusal(pattern: str) -> ValueError:
    return ValueError(
        f"has the pattern {pattern[:80]!r}; expected layers' names, or at most {MAX_EXPRESSIONS} regular expressions "
        f"of names, groups of names and {MAX_REPEATS} repeats of one character: write the names out"
    )
