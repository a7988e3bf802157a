"""Who stands where: the subjects of a prompt on spots of their own, beside those that have a box already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from allaprima.core.layout import Box, Thing
from allaprima.paint.layout.draws import SeededDraws
from allaprima.paint.layout.figures import Outline, box_of
from allaprima.paint.layout.reading import Asked, AskedSubject, read
from allaprima.paint.layout.renders import Renders
from allaprima.paint.layout.spots import LATTICE, PERSON, Spot, lay_out
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.vocabulary import Side, SubjectSize

_ROWS: Final[dict[int, tuple[Side, ...]]] = {
    1: ("middle",),
    2: ("left", "right"),
    3: ("left", "middle", "right"),
}
_MIDDLES: Final[dict[Side | None, float]] = {"left": 0.25, "middle": 0.5, None: 0.5, "right": 0.75}
_FARTHEST: Final = 10
"""How many cells a new subject may move aside."""
_MOST_COVERED: Final = 0.3
"""The share of the smaller of two things that the other may cover."""


@dataclass(frozen=True, kw_only=True)
class Companion:
    """One kind of subject with all that the prompt leaves open about it decided."""

    kind: str
    count: int
    side: Side
    size: SubjectSize
    accessory: str | None
    outline: Outline


@lru_cache(maxsize=256)
def kind_named(name: str) -> str:
    """Return the kind that a thing's name means, in either language; the name itself where it is not known."""
    name = name.strip().lower()
    if name == PERSON or name in SUBJECTS:
        return name
    subjects = read(name).subjects
    return subjects[0].kind if len(subjects) == 1 else name


def companions_of(asked: Asked, given: Sequence[Thing], seed: int, renders: Renders) -> list[Companion]:
    """Return the subjects of a prompt from left to right, with numbers, sides and hair drawn where they are open."""
    companions: list[Companion] = []
    for index, (subject, side) in enumerate(
        zip(asked.subjects, _sides(asked.subjects, given, seed), strict=True)
    ):
        count = subject.count or SeededDraws(seed, f"count {index}").randint(2, 4)
        hair = None
        if subject.kind == PERSON:
            people = sum(companion.kind == PERSON for companion in companions)
            hair = subject.hair or SeededDraws(seed, f"hair {people}").choice(renders.hairs)
        outline = renders.outline(subject.kind, subject.accessory, hair)
        if outline is None:
            raise AssertionError(
                f"no outline of {subject.kind!r}; `prima scenes layouts` notes one of every kind"
            )
        companion = Companion(
            kind=subject.kind, count=count, side=side, size=subject.size, accessory=subject.accessory, outline=outline
        )  # fmt: skip
        companions.append(companion)
    order = {side: rank for rank, side in enumerate(("left", "middle", "right"))}
    return sorted(companions, key=lambda companion: order[companion.side])


def _sides(subjects: Sequence[AskedSubject], given: Sequence[Thing], seed: int) -> list[Side]:
    """Return each subject's side: the one that is said, the nearest to its given box, or one that the seed draws."""
    sides: list[Side | None] = [subject.side for subject in subjects]
    if len(subjects) == 1:
        return [subjects[0].side or "middle"]
    if len(subjects) not in _ROWS:
        return [side or "middle" for side in sides]
    free = list(_ROWS[len(subjects)])
    for index, side in enumerate(sides):
        if side in free:
            free.remove(side)
        else:
            sides[index] = None
    left_open = [index for index, side in enumerate(sides) if side is None]
    standing = {index: _given_middle(subjects[index].kind, given) for index in left_open}
    draws = SeededDraws(seed, "sides")
    # Those with a box choose first.
    for index in sorted(left_open, key=lambda index: standing[index] is None):
        middle = standing[index]
        chosen = (
            draws.choice(free) if middle is None else min(free, key=lambda side: abs(_MIDDLES[side] - middle))
        )
        free.remove(chosen)
        sides[index] = chosen
    return [side or "middle" for side in sides]


def _given_middle(kind: str, given: Sequence[Thing]) -> float | None:
    """Return where the first given thing of a kind has its middle, from left to right."""
    middles = [(thing.box.left + thing.box.right) / 2 for thing in given if kind_named(thing.kind) == kind]
    return middles[0] if middles else None


def place_missing(
    asked: Asked, companions: Sequence[Companion], given: Sequence[Thing], seed: int
) -> list[tuple[Thing, Companion]]:
    """Return boxes for the copies that no given thing is, farthest first; they make room for what is given."""
    spots = lay_out(companions, asked.framing, lambda index: SeededDraws(seed, f"subject {index}"))
    near = asked.framing == "portrait"
    spots = spots if near else [_for_all_widths(spot) for spot in spots]
    boxes: dict[Spot, Box] = {}
    for spot in spots:
        companion = companions[spot.subject]
        boxes[spot] = box_of(spot, companion.outline, companion.kind, near=near)
    for thing in given:
        kind = kind_named(thing.kind)
        like = [spot for spot in boxes if companions[spot.subject].kind == kind]
        if like:
            del boxes[min(like, key=lambda spot: distance(boxes[spot], thing.box))]
    placed: list[tuple[Thing, Companion]] = []
    taken = [thing.box for thing in given]
    for spot, box in boxes.items():
        companion = companions[spot.subject]
        if taken and not near:
            box = _find_room(spot, box, companion, taken)
        if given:
            taken.append(box)
        placed.append((Thing(kind=companion.kind, box=box), companion))
    return sorted(placed, key=lambda pair: pair[0].box.bottom)


def _for_all_widths(spot: Spot) -> Spot:
    """Move a spot so that a square thing in it lies on the lattice.

    Corners are rounded to the lattice; so the middles of a cat and a dog, about as wide, are rounded alike.
    """
    half = spot.height / 2
    return replace(spot, x=round((spot.x - half) * LATTICE) / LATTICE + half)


def distance(one: Box, other: Box) -> float:
    """Return how far apart two boxes are: the sum of the distances of their edges."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def _find_room(spot: Spot, box: Box, companion: Companion, taken: Sequence[Box]) -> Box:
    """Move a box sideways, then make it smaller, until what is there already is to be seen; else leave it."""
    tried, seen = spot, set[Box]()
    for _ in range(3):
        for steps in sorted(range(-_FARTHEST, _FARTHEST + 1), key=abs):
            moved = replace(tried, x=tried.x + steps / LATTICE)
            found = box_of(moved, companion.outline, companion.kind, near=False)
            if found not in seen and all(_are_apart(found, other) for other in taken):
                return found
            seen.add(found)  # at the picture's edge, several steps come to the same
        height = max(1, round(tried.height * LATTICE * 0.75)) / LATTICE
        tried = replace(tried, height=height, width=min(tried.width, 1.2 * height))
    return box


def _are_apart(one: Box, other: Box) -> bool:
    """Return whether neither box covers more than a little of the other."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    smaller = min(one.width * one.height, other.width * other.height)
    return max(0.0, across) * max(0.0, down) <= _MOST_COVERED * smaller
