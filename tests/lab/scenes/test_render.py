from __future__ import annotations

import random
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from allaprima.lab.scenes.accessories import HEADS
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.layout import lay_out
from allaprima.lab.scenes.light import apply, chain, grade, light_of
from allaprima.lab.scenes.people import draw_person
from allaprima.lab.scenes.places import PLACES
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.sheet import contact_sheet
from allaprima.lab.scenes.spec import Accessory, Hour, Place, Scene, Style, Subject, SubjectSize, Weather
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.lab.scenes.subjects import SUBJECTS

DAY_AND_NIGHT: tuple[Hour, ...] = ("day", "night")

TWO_STYLES: tuple[Style, ...] = ("fluent", "noto")


def scene(
    *subjects: Subject,
    place: Place = "meadow",
    hour: Hour = "day",
    weather: Weather = "clear",
    style: Style = "fluent",
    seed: int = 5,
) -> Scene:
    chosen = subjects or (Subject(kind="cat"),)
    return Scene(seed=seed, subjects=chosen, place=place, hour=hour, weather=weather, style=style)


def person(seed: int = 1) -> Subject:
    return Subject(kind="person", person=draw_person(random.Random(seed)))


def test_the_same_scene_gives_the_same_picture(sprites: SpriteCache) -> None:
    asked = scene(Subject(kind="cat", side="left"), replace(person(), side="right"), weather="rain")
    first, second = render_scene(asked, sprites), render_scene(asked, SpriteCache(sprites.cache_dir))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.masks, second.masks)


def test_the_seed_changes_the_place(sprites: SpriteCache) -> None:
    first, second = (render_scene(scene(seed=seed), sprites).image for seed in (1, 2))
    assert not np.array_equal(first, second)


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


@pytest.mark.parametrize("count", [2, 3, 4])
def test_copies_can_be_counted(count: int) -> None:
    for seed in range(20):
        spots = lay_out(scene(Subject(kind="cat", count=count)), random.Random(seed))
        assert len(spots) == count
        for index, one in enumerate(spots):
            for other in spots[:index]:
                # The part of the smaller one that the other covers, at most.
                wide = min(one.x + one.width / 2, other.x + other.width / 2) - max(
                    one.x - one.width / 2, other.x - other.width / 2
                )
                tall = min(one.foot, other.foot) - max(one.foot - one.height, other.foot - other.height)
                assert max(wide, 0) * max(tall, 0) <= 0.1 * one.width * one.height


@pytest.mark.parametrize("place", list(PLACES))
def test_every_place_at_every_hour_is_a_picture_of_its_own(sprites: SpriteCache, place: Place) -> None:
    hours: tuple[Hour, ...] = get_args(Hour)
    pictures = [render_scene(scene(place=place, hour=hour), sprites).image for hour in hours]
    for picture in pictures:
        assert picture.std() > 15
    for index, picture in enumerate(pictures):
        for other in pictures[:index]:
            assert np.abs(picture.astype(int) - other.astype(int)).mean() > 5


def test_the_places_are_those_of_the_spec() -> None:
    assert set(PLACES) == set(get_args(Place))


def test_light_falls_on_the_subject(sprites: SpriteCache) -> None:
    day, night = (render_scene(scene(hour=hour), sprites) for hour in DAY_AND_NIGHT)
    inside = day.masks[0] == 255
    by_day, by_night = day.image[inside].mean(axis=0), night.image[inside].mean(axis=0)
    assert by_night[:2].sum() < 0.95 * by_day[:2].sum()
    assert by_night[2] / by_night.sum() > by_day[2] / by_day.sum()
    assert by_night.mean() > 60  # and it can still be seen


@pytest.mark.parametrize("weather", ["rain", "snow", "fog"])
def test_weather_shows(sprites: SpriteCache, weather: Weather) -> None:
    clear, other = (render_scene(item, sprites) for item in (scene(), scene(weather=weather)))
    assert np.array_equal(clear.masks, other.masks)
    assert np.abs(clear.image.astype(int) - other.image.astype(int)).mean() > 8


@pytest.mark.parametrize("style", get_args(Style))
def test_every_style_paints_things_people_and_accessories(sprites: SpriteCache, style: Style) -> None:
    subjects = (Subject(kind="cat", side="left", accessory="top hat"), replace(person(), side="right"))
    rendered = render_scene(scene(*subjects, style=style), sprites)
    assert (rendered.boxes[:, 2] > rendered.boxes[:, 0]).all()
    assert rendered.image.std() > 15


def test_a_bust_reaches_the_lower_edge(sprites: SpriteCache) -> None:
    for seed in range(4):
        assert render_scene(scene(person(seed), seed=seed), sprites).boxes[0][3] == 256


@pytest.mark.parametrize("accessory", get_args(Accessory))
def test_an_accessory_is_part_of_its_wearer(sprites: SpriteCache, accessory: Accessory) -> None:
    for subject in (Subject(kind="dog"), person(2)):
        bare, worn = (
            render_scene(scene(replace(subject, accessory=item)), sprites) for item in (None, accessory)
        )
        assert not np.array_equal(bare.image, worn.image)
        differs = np.abs(bare.image.astype(int) - worn.image.astype(int)).sum(axis=-1) > 60
        assert (differs & (worn.masks[0] > 0)).sum() > 50


def test_every_kind_that_wears_something_has_a_head() -> None:
    assert set(HEADS) == {kind for kind, info in SUBJECTS.items() if info.wears}


def test_a_sheet_holds_all_its_scenes(sprites: SpriteCache) -> None:
    scenes = [scene(seed=seed) for seed in range(5)]
    sheet = contact_sheet(
        scenes, ["a cat with a caption that takes more than a line"] * 5, sprites, columns=3, size=64
    )
    assert sheet.width == 3 * (64 + 6) + 6
    assert sheet.height > 2 * 64


def test_grades_chain() -> None:
    first, second = grade((0.5, 0.6, 0.7), 0.8, 5), grade((0.9, 0.8, 1.0), 0.5, 3)
    color = (180, 90, 40)
    both, steps = apply(chain(first, second), color), apply(second, apply(first, color))
    assert np.abs(np.subtract(both, steps)).max() <= 1


def test_night_is_darker_than_day() -> None:
    assert sum(light_of("night", "clear").sky[0]) < sum(light_of("day", "clear").sky[0])


def test_drawn_scenes_render(sprites: SpriteCache) -> None:
    known = {"person", "car", *HEADS}
    drawn = (draw_scene(seed) for seed in range(400))
    chosen = [item for item in drawn if all(subject.kind in known for subject in item.subjects)]
    assert len(chosen) > 20
    for item in chosen[:20]:
        render_scene(item, sprites, 64)
