"""Where subjects stand: sizes, sides, copies that can be counted."""

from __future__ import annotations

import random

import pytest
from tests.lab.scenes.rendered import scene

from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Subject
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.layout.spots import lay_out
from allaprima.paint.layout.vocabulary import SubjectSize


@pytest.mark.parametrize(
    ("size", "low", "high"), [("small", 0.2, 0.34), ("medium", 0.45, 0.72), ("large", 0.7, 0.9)]
)
def test_sizes_are_what_their_names_say(
    sprites: SpriteCache, size: SubjectSize, low: float, high: float
) -> None:
    for seed in range(6):
        box = render_scene(scene(Subject(kind="cat", size=size), seed=seed), sprites).boxes[0]
        assert low < (box[3] - box[1]) / 256 < high


def test_left_is_left_of_middle_is_left_of_right(sprites: SpriteCache) -> None:
    three = (
        Subject(kind="dog", side="right"),
        Subject(kind="cat", side="left"),
        Subject(kind="car", side="middle"),
    )
    for seed in range(8):
        right, left, middle = render_scene(scene(*three, seed=seed), sprites).boxes
        assert left[0] + left[2] < middle[0] + middle[2] < right[0] + right[2]


@pytest.mark.parametrize("count", [2, 3, 4, 7, 9])
def test_copies_can_be_counted(count: int) -> None:
    for seed in range(20):
        draws = {0: random.Random(seed)}
        spots = lay_out((Subject(kind="cat", count=count),), "scene", draws.__getitem__)
        assert len(spots) == count
        for index, one in enumerate(spots):
            for other in spots[:index]:
                # The part of the smaller one that the other covers, at most.
                wide = min(one.x + one.width / 2, other.x + other.width / 2) - max(
                    one.x - one.width / 2, other.x - other.width / 2
                )
                tall = min(one.foot, other.foot) - max(one.foot - one.height, other.foot - other.height)
                assert max(wide, 0) * max(tall, 0) <= 0.1 * one.width * one.height
