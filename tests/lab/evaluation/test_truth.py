"""Where every copy of a rendered scene is."""

from __future__ import annotations

import numpy as np
import pytest

from allaprima.lab.evaluation.truth import render_truth, split_copies
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.spec import Scene, Subject
from allaprima.lab.scenes.sprites import SpriteCache


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_copies_of_a_rendered_scene_are_told_apart(sprites: SpriteCache, count: int) -> None:
    scene = Scene(
        seed=count,
        subjects=(Subject(kind="soccer ball", count=count),),
        place="meadow",
        hour="day",
        weather="clear",
    )
    picture, copies = render_truth(scene, sprites)
    assert picture.size == (256, 256)
    assert len(copies) == count
    widths = [right - left for left, _, right, _ in (copy.box for copy in copies)]
    heights = [bottom - top for _, top, _, bottom in (copy.box for copy in copies)]
    assert max(widths) - min(widths) < 0.03
    assert max(heights) - min(heights) < 0.03
    assert all(abs(width / height - 1) < 0.1 for width, height in zip(widths, heights, strict=True))


def test_what_cannot_be_seen_has_no_box() -> None:
    assert split_copies(np.zeros((16, 16), np.uint8), 3) == []


def test_scenes_drawn_at_random_have_a_box_for_every_copy(sprites: SpriteCache) -> None:
    for seed in range(3_000_000_000, 3_000_000_012):
        scene = draw_scene(seed, split="any")
        _, copies = render_truth(scene, sprites, 128)
        expected = [subject.kind for subject in scene.subjects for _ in range(subject.count)]
        assert [copy.kind for copy in copies] == expected
