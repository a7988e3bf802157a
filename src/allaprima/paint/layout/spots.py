"""Where in the picture subjects stand and how large they are: scenes are rendered so, and layouts completed so."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise, starmap
from typing import Final, Protocol

from allaprima.paint.layout.draws import Draws
from allaprima.paint.layout.vocabulary import Framing, Side, SubjectSize


class Wanted(Protocol):
    """One kind of thing that is to stand in a picture, `count` copies of it."""

    @property
    def kind(self) -> str:
        """A key of the subjects table, or `"person"`."""

    @property
    def count(self) -> int:
        """How many copies, 1 or more."""

    @property
    def side(self) -> Side:
        """Where it stands among several subjects."""

    @property
    def size(self) -> SubjectSize:
        """How large it is for one of its number."""


_ALONE: dict[SubjectSize, tuple[float, float]] = {
    "small": (0.25, 0.3),
    "medium": (0.54, 0.68),
    "large": (0.75, 0.84),
}
_SHRINK: dict[SubjectSize, float] = {"small": 0.72, "medium": 1.0, "large": 1.12}
_AMONG: dict[int, tuple[float, float]] = {2: (0.42, 0.48), 3: (0.31, 0.36)}
_MIDDLES: dict[int, dict[Side, float]] = {
    2: {"left": 0.28, "middle": 0.5, "right": 0.72},
    3: {"left": 0.19, "middle": 0.5, "right": 0.81},
}
PERSON: Final = "person"
"""The kind of a subject that is a person."""
EDGE = 0.02
ROW_GAP = 0.06
LATTICE = 16
"""Sizes and positions are multiples of 1 / LATTICE of the picture: one cell of the latent."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where one copy of a subject stands, in fractions of the picture's side."""

    subject: int
    """Index into the subjects."""
    x: float
    """Its middle."""
    foot: float
    """Its lower edge."""
    height: float
    width: float
    """It is scaled, in proportion, to fit into width x height."""


def lay_out(subjects: Sequence[Wanted], framing: Framing, draws_of: Callable[[int], Draws]) -> list[Spot]:
    """Return the spots of all copies of all subjects, farthest (highest foot) first.

    `draws_of(index)` is where the subject of this index draws from; where a framing places all of them at once, index
    0 is drawn from. More than three subjects, which no scene has, stand in a row in their order.
    """
    if framing == "portrait":
        return [portrait_spot(draws_of(0))]
    if framing == "anywhere":
        return sorted(map(_on_lattice, scatter(subjects, draws_of(0))), key=lambda spot: spot.foot)
    spots: list[Spot] = []
    several = len(subjects)
    for index, subject in enumerate(subjects):
        draws = draws_of(index)
        if several == 1:
            spots += _alone(subject, draws)
        else:
            low, high = _AMONG[min(several, 3)]
            crowd = min(1.0, 3 / several)
            height = draws.uniform(low, high) * _SHRINK[subject.size] * crowd
            usual = _MIDDLES[several][subject.side] if several in _MIDDLES else (index + 0.5) / several
            middle = usual + draws.uniform(-0.015, 0.015)
            cell = 0.46 if several == 2 else 0.315 * crowd
            spots += _group(subject, index, draws, middle=middle, cell=cell, height=height)
    return sorted((_on_lattice(spot) for spot in spots), key=lambda spot: spot.foot)


def portrait_spot(draws: Draws) -> Spot:
    """Draw the spot of a bust whose head fills most of the picture; it reaches past the lower edge."""
    height = draws.uniform(1.12, 1.5)
    top = draws.uniform(-0.02, 0.1) - 0.25 * (height - 1.12)
    return Spot(subject=0, x=0.5 + draws.uniform(-0.1, 0.1), foot=top + height, height=height, width=1.6)


_SCATTERED: dict[SubjectSize, tuple[float, float]] = {
    "small": (0.18, 0.32), "medium": (0.3, 0.72), "large": (0.72, 0.92),
}  # fmt: skip


def scatter(subjects: Sequence[Wanted], draws: Draws) -> list[Spot]:
    """Draw spots anywhere in the picture and of any size, in mid-air too.

    Captions stay true: the subjects stand in their order from left to right, and most of each copy is visible.
    People stay at the lower edge, which hides where their busts are cut off.
    """
    copies = [(index, subject) for index, subject in enumerate(subjects) for _ in range(subject.count)]
    crowd = len(copies) ** 0.5
    shrink = 1.0
    while True:
        spots: list[Spot] = []
        for index, subject in copies:
            low, high = (edge if len(copies) == 1 else edge / crowd for edge in _SCATTERED[subject.size])
            height = shrink * draws.uniform(low, high)
            x = draws.uniform(height / 2, 1 - height / 2)
            foot = 1.0 if subject.kind == PERSON else draws.uniform(height, 1.0)
            spots.append(Spot(subject=index, x=x, foot=foot, height=height, width=height))
        shrink *= 0.99  # a crowd that finds no room gets smaller
        in_order = (one.x + 0.08 < other.x for one, other in pairwise(spots) if one.subject != other.subject)
        if all(starmap(_are_apart, combinations(spots, 2))) and all(in_order):
            return spots


def _are_apart(one: Spot, other: Spot) -> bool:
    """Return whether neither spot covers more than a little of the other."""
    across = (one.width + other.width) / 2 - abs(one.x - other.x)
    down = min(one.foot, other.foot) - max(one.foot - one.height, other.foot - other.height)
    covered = max(0.0, min(across, one.width, other.width)) * max(0.0, down)
    return covered <= 0.3 * min(one.height, other.height) ** 2


def _on_lattice(spot: Spot) -> Spot:
    """Round a spot's size to the lattice.

    The autoencoder sees 16 x 16 pixels as one cell. A thing drawn at few sizes and at whole cells has nearly
    the same latent wherever it stands, which is far less for a small denoiser to learn.
    """
    steps = max(1, int(min(spot.height, spot.width * 1.1) * LATTICE + 0.3))
    return replace(spot, height=steps / LATTICE, width=max(spot.width, steps / LATTICE))


def _alone(subject: Wanted, draws: Draws) -> list[Spot]:
    low, high = _ALONE[subject.size]
    height = draws.uniform(low, high)
    if subject.count > 1:
        return _group(subject, 0, draws, middle=0.5, cell=0.96, height=min(height, 0.6))
    aside = draws.uniform(-0.06, 0.06) * (1.5 if subject.size == "small" else 1.0)
    middle = _MIDDLES[2][subject.side] + aside
    width = min(height * 1.2, 0.94)
    return [_spot(0, subject, draws, x=middle, height=height, width=width)]


def _group(
    subject: Wanted, index: int, draws: Draws, *, middle: float, cell: float, height: float
) -> list[Spot]:
    """Lay copies in one row, or four and more in a square; each in a cell of its own, so they can be counted."""
    count = subject.count
    if count == 1:
        return [_spot(index, subject, draws, x=middle, height=height, width=min(cell, height * 1.15))]
    columns = 2
    if cell > 0.5:
        columns = count if count <= 3 else math.ceil(count**0.5)
    rows = -(-count // columns)
    width = cell / columns
    tall = min(height, width * 1.05, 0.8 if rows == 1 else 0.39 if rows == 2 else 0.84 / rows - ROW_GAP)
    foot = _foot(subject, tall, draws) if rows == 1 else 0.95
    spots = []
    for place in range(count):
        row, column = divmod(place, columns)
        in_row = min(columns, count - row * columns)
        x = middle + (column - (in_row - 1) / 2) * width + draws.uniform(-0.02, 0.02) * width
        above = (rows - 1 - row) * (tall + ROW_GAP)
        lower = foot - above - draws.uniform(0, 0.015)
        spots.append(Spot(subject=index, x=x, foot=lower, height=tall, width=width * 0.97))
    return spots


def _foot(subject: Wanted, height: float, draws: Draws) -> float:
    if subject.kind == PERSON:
        return 1.0  # a bust is cut off below: the picture's edge hides the cut
    wish = draws.uniform(0.84, 0.92) if height < 0.7 else draws.uniform(0.92, 0.96)
    return max(wish, height + EDGE)


def _spot(index: int, subject: Wanted, draws: Draws, *, x: float, height: float, width: float) -> Spot:
    return Spot(subject=index, x=x, foot=_foot(subject, height, draws), height=height, width=width)
