"""Light: grades as matrices, the dark of the night, subjects in it."""

from __future__ import annotations

import numpy as np
from tests.lab.scenes.rendered import scene

from allaprima.lab.scenes.light import apply, chain, grade, light_of
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.layout.vocabulary import Hour

DAY_AND_NIGHT: tuple[Hour, ...] = ("day", "night")


def test_light_falls_on_the_subject(sprites: SpriteCache) -> None:
    day, night = (render_scene(scene(hour=hour), sprites) for hour in DAY_AND_NIGHT)
    inside = day.masks[0] == 255
    by_day, by_night = day.image[inside].mean(axis=0), night.image[inside].mean(axis=0)
    assert by_night[:2].sum() < 0.95 * by_day[:2].sum()
    assert by_night[2] / by_night.sum() > by_day[2] / by_day.sum()
    assert by_night.mean() > 60  # and it can still be seen


def test_grades_chain() -> None:
    first, second = grade((0.5, 0.6, 0.7), 0.8, 5), grade((0.9, 0.8, 1.0), 0.5, 3)
    color = (180, 90, 40)
    both, steps = apply(chain(first, second), color), apply(second, apply(first, color))
    assert np.abs(np.subtract(both, steps)).max() <= 1


def test_night_is_darker_than_day() -> None:
    assert sum(light_of("night", "clear").sky[0]) < sum(light_of("day", "clear").sky[0])
