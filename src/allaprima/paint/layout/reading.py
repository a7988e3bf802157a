"""What a prompt asks for, in English or Chinese, as far as it lies within Vignette's words.

    read("two cats on a rooftop at sunset, 下着雨")

Words that are not known are left alone: nothing is guessed from them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from typing import Final, cast

from allaprima.paint.layout.fragments import cut
from allaprima.paint.layout.phrases import Fragment
from allaprima.paint.layout.spots import PERSON
from allaprima.paint.layout.vocabulary import Accessory, Framing, Hour, Place, Side, SubjectSize, Weather


@dataclass(frozen=True, kw_only=True)
class AskedSubject:
    """One kind of thing that a prompt asks for; None where it leaves something open."""

    kind: str
    count: int | None = 1
    """How many; None for several, without a number."""
    side: Side | None = None
    size: SubjectSize = "medium"
    accessory: Accessory | None = None
    hair: str | None = None
    """A person's, which decides how high a bust is."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a prompt asks for; None where it leaves something open."""

    subjects: tuple[AskedSubject, ...] = ()
    """In the order in which they are named."""
    place: Place | None = None
    hour: Hour | None = None
    weather: Weather | None = None
    framing: Framing = "scene"
    unknown: tuple[str, ...] = ()
    """Words that are not known, so the prompt may ask for more than this."""


MOST_KINDS: Final = 9
MOST_COPIES: Final = 27
"""A picture of 16 x 16 cells has no room for more things; further kinds count as unknown."""


@lru_cache(maxsize=256)
def read(prompt: str) -> Asked:
    """Return what a prompt asks for; the first place, hour and weather that it names count."""
    found = cut(prompt)
    names: dict[str, str] = {}
    for fragment in found.fragments:
        if fragment.role in ("place", "hour", "weather"):
            names.setdefault(fragment.role, fragment.name)
        elif fragment.role == "sunny":
            names.setdefault("hour", "day")
            names.setdefault("weather", "clear")
    framing: Framing = "scene"
    subjects = _subjects(found.fragments)
    if any(fragment.role == "framing" for fragment in found.fragments):
        subjects = subjects or _subjects((*found.fragments, Fragment("person")))
        if [subject.kind for subject in subjects] == [PERSON]:
            framing = "portrait"
        elif len(subjects) == 1:  # a close-up of a cat
            subjects = (replace(subjects[0], size="large"),)
    copies = accumulate(subject.count or 1 for subject in subjects)
    kept = min(MOST_KINDS, sum(number <= MOST_COPIES for number in copies))
    return Asked(
        subjects=subjects[:kept],
        place=cast("Place | None", names.get("place")),
        hour=cast("Hour | None", names.get("hour")),
        weather=cast("Weather | None", names.get("weather")),
        framing=framing,
        unknown=(*found.unknown, *(subject.kind for subject in subjects[kept:])),
    )


def _subjects(fragments: Sequence[Fragment]) -> tuple[AskedSubject, ...]:
    """Return the subjects, each with the fragments around it that speak of it."""
    heads = [at for at, fragment in enumerate(fragments) if fragment.role in ("subject", "person")]
    subjects = [AskedSubject(kind=fragments[at].name or PERSON, count=fragments[at].count) for at in heads]
    if not subjects:
        return ()
    for at, fragment in enumerate(fragments):
        before, after = _around(heads, at)
        if fragment.role == "count" and after is not None:
            subjects[after] = replace(subjects[after], count=fragment.count)
        elif fragment.role == "size":
            index = _first(after, before)
            subjects[index] = replace(subjects[index], size=cast("SubjectSize", fragment.name))
        elif fragment.role == "worn":
            index = _first(*((after, before) if _leads_on(fragments, at) else (before, after)))
            subjects[index] = replace(subjects[index], accessory=cast("Accessory", fragment.name))
        elif fragment.role == "hair":
            people = [index for index, subject in enumerate(subjects) if subject.kind == PERSON]
            if people:
                index = min(people, key=lambda index: abs(heads[index] - at))
                subjects[index] = replace(subjects[index], hair=fragment.name)
    sides = _sides(fragments, heads)
    return tuple(replace(subject, side=side) for subject, side in zip(subjects, sides, strict=True))


def _around(heads: Sequence[int], at: int) -> tuple[int | None, int | None]:
    """Return which subjects are named last before a fragment and first after it."""
    before = bisect_left(heads, at)
    return (before - 1 if before else None), (before if before < len(heads) else None)


def _first(one: int | None, other: int | None) -> int:
    """Return the first of two indices that there is; one of them is."""
    index = one if one is not None else other
    if index is None:
        raise AssertionError("a fragment of a prompt with subjects has one before or after it")
    return index


_CLAUSE: Final = frozenset(("worn", "hair", "look", "filler"))


def _leads_on(fragments: Sequence[Fragment], at: int) -> bool:
    """Return whether a Chinese clause goes on to the noun that it describes: `戴着皇冠的猫`."""
    end = next((index for index in range(at, len(fragments)) if fragments[index].role not in _CLAUSE), at)
    return fragments[end].role == "of"


_OPPOSITE: Final[dict[Side, Side]] = {"left": "right", "right": "left", "middle": "middle"}
_ROWS: Final[dict[int, tuple[Side, ...]]] = {2: ("left", "right"), 3: ("left", "middle", "right")}


def _sides(fragments: Sequence[Fragment], heads: Sequence[int]) -> list[Side | None]:
    """Return the side that is said of each subject."""
    sides: list[Side | None] = [None] * len(heads)
    if any(fragment.role == "in order" for fragment in fragments) and len(heads) in _ROWS:
        return list(_ROWS[len(heads)])
    first = next((at for at, fragment in enumerate(fragments) if fragment.role == "side"), len(fragments))
    leads = first < heads[0]  # "on the left a cat", not "a cat on the left"
    for at, fragment in enumerate(fragments):
        before, after = _around(heads, at)
        side = cast("Side", fragment.name)
        if fragment.role == "side":
            sides[_first(*((after, before) if leads else (before, after)))] = side
        elif fragment.role == "next side":
            sides[_first(after, before)] = side
        elif fragment.role == "between" and before is not None:
            sides[before] = "middle"
        elif fragment.role == "relation" and before is not None:
            # "A to the left of B", and in Chinese "A在B的左边".
            one, other = (before, after) if after is not None else (before - 1, before)
            if one >= 0:
                sides[one], sides[other] = side, _OPPOSITE[side]
    left_open = [index for index, side in enumerate(sides) if side is None]
    free = [side for side in _ROWS.get(len(heads), ()) if side not in sides]
    if len(left_open) == 1 and len(free) == 1:
        sides[left_open[0]] = free[0]
    return sides
