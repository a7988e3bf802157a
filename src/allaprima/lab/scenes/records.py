"""Noting down what completion draws from: backgrounds that the renderer drew, and the outline of every kind."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from allaprima.core.layout import Layout
from allaprima.lab.scenes.accessories import HEADS
from allaprima.lab.scenes.draw import ACCESSORIES
from allaprima.lab.scenes.figures import figure
from allaprima.lab.scenes.light import light_of
from allaprima.lab.scenes.people import HAIR, draw_person
from allaprima.lab.scenes.places import paint_place
from allaprima.lab.scenes.spec import Subject
from allaprima.lab.scenes.sprites import SPRITE_SIZE, SpriteCache
from allaprima.paint.layout.figures import Outline
from allaprima.paint.layout.renders import PLACES, Background, Renders, outline_name
from allaprima.paint.layout.spots import PERSON
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.vocabulary import Place

_HUNG: Final = frozenset(("sun", "moon", "cloud"))
"""What hangs in the sky and is drawn anew for each hour and weather."""


def record_renders(sprites: SpriteCache, *, backgrounds: int, first_seed: int) -> Renders:
    """Note down `backgrounds` of every place, and outlines of the kinds whose sprites there are.

    Raises:
        AssetError: the renderer's sprites are not in the cache.
    """
    places = {
        place: tuple(_background(place, first_seed + index, sprites) for index in range(backgrounds))
        for place in PLACES
    }
    return Renders(backgrounds=places, outlines=_outlines(sprites))


def _background(place: Place, seed: int, sprites: SpriteCache) -> Background:
    light = light_of("day", "clear")
    # A small picture has the same things, up to the pixels to which sprites are rounded.
    _, things = paint_place(place, light, random.Random(f"place {seed}"), sprites, style="fluent", size=256)
    kept: Layout = tuple(thing for thing in things if thing.kind not in _HUNG)
    return Background(things=kept, clouded=any(thing.kind == "cloud" for thing in things))


def _outlines(sprites: SpriteCache) -> dict[str, Outline]:
    icons = set(sprites.icons("fluent"))
    subjects = [Subject(kind=kind) for kind, info in SUBJECTS.items() if info.icon in icons]
    subjects += [
        replace(subject, accessory=item)
        for subject in subjects
        if subject.kind in HEADS
        for item in ACCESSORIES
    ]
    person = draw_person(random.Random("outlines"))
    for hair in HAIR:
        someone = replace(person, identity=replace(person.identity, hair=hair), glasses=None)
        subjects += [Subject(kind=PERSON, person=someone, accessory=item) for item in (None, *ACCESSORIES)]
    found = {}
    for subject in subjects:
        worn_hair = subject.person.identity.hair if subject.person is not None else None
        found[outline_name(subject.kind, subject.accessory, worn_hair)] = _outline(subject, sprites)
    return found


def _outline(subject: Subject, sprites: SpriteCache) -> Outline:
    """Return the outline of a subject as it is drawn into a room that is larger than any sprite."""
    drawn = figure(subject, sprites, "fluent", width=2 * SPRITE_SIZE, height=2 * SPRITE_SIZE)
    return Outline(width=drawn.picture.width, height=drawn.picture.height, worn=drawn.worn, face=drawn.face)
