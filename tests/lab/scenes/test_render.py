from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from tests.lab.scenes.rendered import person, scene

from allaprima.lab.scenes.accessories import HEADS
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Style, Subject, SubjectSize
from allaprima.lab.scenes.sprites import SpriteCache

TWO_STYLES: tuple[Style, ...] = ("fluent", "noto")


def test_the_same_scene_gives_the_same_picture(sprites: SpriteCache) -> None:
    asked = scene(Subject(kind="cat", side="left"), replace(person(), side="right"), weather="rain")
    first, second = render_scene(asked, sprites), render_scene(asked, SpriteCache(sprites.cache_dir))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.masks, second.masks)


def test_another_subject_leaves_the_place_as_it_was(sprites: SpriteCache) -> None:
    cat, car = (render_scene(scene(Subject(kind=kind)), sprites).image for kind in ("cat", "car"))
    assert np.array_equal(cat[:40], car[:40])
    assert not np.array_equal(cat, car)


def test_shapes_and_ranges(sprites: SpriteCache) -> None:
    rendered = render_scene(
        scene(Subject(kind="cat", side="left"), Subject(kind="car", side="right")), sprites
    )
    assert rendered.image.shape == (256, 256, 3)
    assert rendered.image.dtype == np.uint8
    assert rendered.masks.shape == (2, 256, 256)
    assert rendered.masks.dtype == np.uint8
    assert rendered.boxes.shape == (2, 4)
    assert rendered.boxes.dtype == np.float32


@pytest.mark.parametrize("side", [64, 128])
def test_other_sizes(sprites: SpriteCache, side: int) -> None:
    rendered = render_scene(scene(), sprites, side)
    assert rendered.image.shape == (side, side, 3)
    assert rendered.boxes.max() <= side


def test_a_mask_is_where_the_subject_changes_the_picture(sprites: SpriteCache) -> None:
    # Two pictures that differ in the subject alone differ in its mask and in the shadow below it.
    cat, fox = (render_scene(scene(Subject(kind="cat"), style=style), sprites) for style in TWO_STYLES)
    assert np.array_equal(cat.masks, fox.masks)
    inside = cat.masks[0] > 200
    changed = np.abs(cat.image.astype(int) - fox.image.astype(int)).sum(axis=-1) > 0
    assert changed[inside].mean() > 0.99


def test_masks_of_several_subjects_share_no_pixel(sprites: SpriteCache) -> None:
    three = (
        Subject(kind="cat", side="left"),
        Subject(kind="car", side="middle"),
        Subject(kind="dog", side="right"),
    )
    for seed in range(8):
        masks = render_scene(scene(*three, seed=seed), sprites).masks
        assert (masks.astype(int).sum(axis=0) <= 256).all()


def test_boxes_hug_their_masks_inside_the_picture(sprites: SpriteCache) -> None:
    sizes: tuple[SubjectSize, ...] = get_args(SubjectSize)
    for seed in range(12):
        subject = Subject(kind="cat", size=sizes[seed % 3], count=1 + seed % 4)
        rendered = render_scene(scene(subject, seed=seed), sprites)
        x0, y0, x1, y1 = rendered.boxes[0]
        rows, columns = np.nonzero(rendered.masks[0])
        assert (x0, y0, x1, y1) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert 0 <= x0 < x1 <= 256
        assert 0 <= y0 < y1 <= 256


def test_drawn_scenes_render(sprites: SpriteCache) -> None:
    known = {"person", "car", *HEADS}
    drawn = (draw_scene(seed) for seed in range(400))
    chosen = [item for item in drawn if all(subject.kind in known for subject in item.subjects)]
    assert len(chosen) > 20
    for item in chosen[:20]:
        render_scene(item, sprites, 64)
