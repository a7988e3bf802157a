"""Scenes and people to be rendered."""

from __future__ import annotations

import random
from types import ModuleType
from typing import get_args

import numpy as np

from allaprima.lab.scenes.people import draw_person
from allaprima.lab.scenes.places import PLACES
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Scene, Style, Subject
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.layout.vocabulary import Hour, Place, Weather


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


def require_hours_of_their_own(place: Place, sprites: SpriteCache) -> None:
    """Fail unless a place is a picture of its own at every hour."""
    pictures = [render_scene(scene(place=place, hour=hour), sprites).image for hour in get_args(Hour)]
    for picture in pictures:
        assert picture.std() > 15
    for index, picture in enumerate(pictures):
        for other in pictures[:index]:
            assert np.abs(picture.astype(int) - other.astype(int)).mean() > 5


def places_of(module: ModuleType) -> list[Place]:
    """Return the places that a module paints."""
    return [place for place, paint in PLACES.items() if paint.__module__ == module.__name__]
