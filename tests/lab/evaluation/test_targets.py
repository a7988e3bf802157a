"""What the judge is taught: middles, kinds and accessories on the grid, from the renderer's ground truth."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image

from allaprima.lab.evaluation.judge import JudgeConfig
from allaprima.lab.evaluation.targets import IGNORED, Copy, build_targets, middle_loss, stack_targets
from allaprima.lab.evaluation.truth import render_truth, split_copies
from allaprima.lab.evaluation.worn_accessories import wear_picture
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.spec import Scene, Subject
from allaprima.lab.scenes.sprites import SpriteCache

CONFIG = JudgeConfig(kinds=("cat", "car"))
SCENE = Scene(seed=1, subjects=(Subject(kind="cat"),), place="city", hour="dawn", weather="fog")


def test_middles_bumps_and_labels() -> None:
    copies = [Copy("cat", "crown", (0.0, 0.0, 0.5, 0.5)), Copy("car", None, (0.5, 0.5, 1.0, 1.0))]
    targets = build_targets(SCENE, copies, CONFIG, 32)
    assert torch.nonzero(targets.middle[0] == 1).tolist() == [[8, 8], [24, 24]]
    assert 0 < targets.middle[0, 8, 9] < 1
    assert targets.kind[0, 8, 8] == 0
    assert targets.kind[0, 24, 24] == 1
    assert targets.kind[0, 8, 24] == IGNORED
    assert targets.accessory[0, 8, 8] == CONFIG.accessories.index("crown")
    assert targets.accessory[0, 24, 24] == 0
    assert [int(part) for part in (targets.place, targets.hour, targets.weather)] == [3, 1, 3]


def test_even_the_smallest_copy_is_asked_for_in_one_cell() -> None:
    targets = build_targets(SCENE, [Copy("car", None, (0.999, 0.999, 1.0, 1.0))], CONFIG, 8)
    assert targets.kind[0, 7, 7] == 1


def test_batches_are_joined_along_the_first_axis() -> None:
    targets = build_targets(SCENE, [], CONFIG, 8)
    assert stack_targets([targets, targets]).middle.shape == (2, 8, 8)


def test_the_middle_loss_is_least_at_the_truth() -> None:
    truth = build_targets(SCENE, [Copy("cat", None, (0.2, 0.2, 0.6, 0.6))], CONFIG, 16).middle
    right = torch.where(truth == 1, 8.0, -8.0)
    missed, invented = torch.full_like(right, -8.0), right.clone()
    invented[0, 14, 14] = 8.0
    assert middle_loss(right, truth) < 0.01
    assert middle_loss(missed, truth) > 1
    assert middle_loss(invented, truth) > 1


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


def test_wear_is_a_function_of_its_randomness_and_stays_a_picture() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    worn = [wear_picture(picture, random.Random(seed)) for seed in range(20)]
    again = [wear_picture(picture, random.Random(seed)) for seed in range(20)]
    assert all(one.tobytes() == two.tobytes() for one, two in zip(worn, again, strict=True))
    assert {(one.size, one.mode) for one in worn} == {((64, 64), "RGB")}
    changed = sum(one.tobytes() != picture.tobytes() for one in worn)
    assert 8 <= changed < 20


def test_scenes_drawn_at_random_have_a_box_for_every_copy(sprites: SpriteCache) -> None:
    for seed in range(3_000_000_000, 3_000_000_012):
        scene = draw_scene(seed, split="any")
        _, copies = render_truth(scene, sprites, 128)
        expected = [subject.kind for subject in scene.subjects for _ in range(subject.count)]
        assert [copy.kind for copy in copies] == expected
