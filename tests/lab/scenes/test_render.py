from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from tests.lab.scenes.rendered import person, scene

from allaprima.lab.scenes.accessories import HEADS
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Style, Subject
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.layout.vocabulary import Place, SubjectSize

PLACES: tuple[Place, ...] = get_args(Place)
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


def test_the_boxes_of_subjects_are_those_of_their_masks(sprites: SpriteCache) -> None:
    for framing in ("scene", "anywhere"):
        rendered = render_scene(replace(scene(seed=3), framing=framing), sprites)
        (cat,) = (thing for thing in rendered.things if thing.layer == "subject")
        np.testing.assert_allclose(np.array(cat.box) * 256, rendered.boxes[0], atol=2)
        assert cat.kind == "cat"


def test_a_hat_has_its_box_on_the_head_that_wears_it(sprites: SpriteCache) -> None:
    dressed = (Subject(kind="cat", side="left"), Subject(kind="dog", side="right", accessory="top hat"))
    things = render_scene(scene(*dressed, seed=3), sprites).things
    hat = next(thing for thing in things if thing.kind == "top hat")
    dog = next(thing for thing in things if thing.kind == "dog")
    assert hat.layer == "part"
    assert hat.number == dog.number == 1
    assert dog.box.left <= hat.box.left < hat.box.right <= dog.box.right
    assert hat.box.top == pytest.approx(dog.box.top, abs=0.01)
    assert hat.box.bottom < (dog.box.top + dog.box.bottom) / 2


@pytest.mark.parametrize("place", PLACES)
def test_every_place_tells_what_it_is_made_of(place: Place, sprites: SpriteCache) -> None:
    things = render_scene(scene(place=place, seed=3), sprites).things
    grounds = [thing for thing in things if thing.layer == "ground"]
    assert len(grounds) >= 1
    assert any(thing.box.bottom == 1 for thing in grounds)
    assert any(thing.layer == "behind" for thing in things)
    if place not in ("room", "stage", "space"):
        assert {"sky", "sun"} <= {thing.kind for thing in things}


def test_the_things_of_a_place_do_not_depend_on_the_subject(sprites: SpriteCache) -> None:
    cat, car = (
        render_scene(scene(Subject(kind=kind), place="street", seed=3), sprites).things
        for kind in ("cat", "car")
    )
    assert [thing for thing in cat if thing.layer != "subject"] == [
        thing for thing in car if thing.layer != "subject"
    ]
    houses = [thing for thing in cat if thing.kind == "house"]
    assert len({house.color for house in houses}) > 1
