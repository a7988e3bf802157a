"""Which two pictures are shown beside each other, in which order, and which of them on the left."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True, kw_only=True)
class PicturePair:
    """Two pictures of one name."""

    number: int
    """Its place in the order, from 0."""
    picture: str
    """The name that both have."""
    left: int
    """Whose stands on the left: the index of a folder."""
    right: int


def draw_pairs(
    num_folders: int, pictures: Sequence[str], seed: int, most: int | None = None
) -> list[PicturePair]:
    """Return the pairs to show, at most `most` of them; the same arguments give the same pairs.

    Order and sides are drawn at random. Every two folders meet once in each round, so wherever a person stops, no
    two of them have met more than once more often than two others.

    Args:
        num_folders: at least 2.
        pictures: the names that all folders have.
        seed: of order and sides.
        most: None for all: every two folders once for each picture.
    """
    draw = random.Random(f"pairs {seed}")
    encounters = list(combinations(range(num_folders), 2))
    orders = {two: draw.sample(list(pictures), len(pictures)) for two in encounters}
    pairs: list[PicturePair] = []
    for turn in range(len(pictures)):
        for two in draw.sample(encounters, len(encounters)):
            left, right = draw.sample(two, 2)
            pairs.append(PicturePair(number=len(pairs), picture=orders[two][turn], left=left, right=right))
    return pairs[:most]
