"""Does the scene stay while one types? Two frames of one seed in which only the subject's word differs.

What lies outside of the boxes of both subjects is the background, and should be the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from allaprima.lab.comparison.asked_boxes import FindBox
from allaprima.lab.comparison.asked_pictures import AskedPicture

WHERE = (
    "on a rooftop at sunset", "in a forest", "on a beach at night", "in a city in the rain", "in the snow",
    "in the desert at dawn", "in the mountains", "in a meadow",
)  # fmt: skip
KINDS = ("cat", "lion", "fox", "penguin", "car", "castle", "dog", "bus", "panda", "horse")
MARGIN = 0.06
"""How far a box reaches past what was found, as a share of the picture's sides: shadows and soft edges."""
LEAST = 0.1
"""The share of a picture that must be background; pairs with less tell nothing."""


@dataclass(frozen=True, kw_only=True)
class TypedPair:
    """Two prompts, one of which becomes the other by a word."""

    kinds: tuple[str, str]
    where: str
    seed: int

    @property
    def asked(self) -> tuple[AskedPicture, AskedPicture]:
        """The two pictures."""
        first, second = (AskedPicture(prompt=f"a {kind} {self.where}", seed=self.seed) for kind in self.kinds)
        return first, second


def typed_pairs(count: int) -> list[TypedPair]:
    """Return pairs of all subjects at all places in turn, each with a seed of its own."""
    pairs = []
    for index in range(count):
        turn = index % len(WHERE) + index // len(WHERE)
        kinds = KINDS[turn % len(KINDS)], KINDS[(turn + 1) % len(KINDS)]
        pairs.append(TypedPair(kinds=kinds, where=WHERE[index % len(WHERE)], seed=1000 + index))
    return pairs


def background_change(pairs: Sequence[TypedPair], pictures: Iterator[Tensor], find: FindBox) -> float | None:
    """Return the mean change of the background from 0 to 1, over pairs; None where none shows a background.

    Args:
        pairs: what was asked for.
        pictures: (3, H, W) in [0, 1], two a pair.
        find: finds the subjects.
    """
    changes = []
    for pair in pairs:
        frames = next(pictures), next(pictures)
        behind = torch.ones(frames[0].shape[1:], dtype=torch.bool)
        for frame, kind in zip(frames, pair.kinds, strict=True):
            box = find(frame, kind)
            if box is not None:
                rows, columns = (
                    _span(box.top, box.bottom, len(behind)),
                    _span(box.left, box.right, len(behind)),
                )
                behind[rows, columns] = False
        if float(behind.float().mean()) >= LEAST:
            changes.append(float((frames[0] - frames[1]).abs().mean(0)[behind].mean()))
    return sum(changes) / len(changes) if changes else None


def _span(low: float, high: float, side: int) -> slice:
    return slice(max(0, round((low - MARGIN) * side)), round((high + MARGIN) * side))
