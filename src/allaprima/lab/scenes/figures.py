"""Figures: one subject alone on a transparent ground, person or thing, with what it wears."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from PIL import Image, ImageOps

from allaprima.core.layout import Box
from allaprima.lab.scenes.accessories import kind_anchor, wear
from allaprima.lab.scenes.people import head_anchor, person_svg
from allaprima.lab.scenes.spec import Person, Style, Subject
from allaprima.lab.scenes.sprites import SPRITE_SIZE, SpriteCache, fit, rasterise, visible_box
from allaprima.paint.layout.subjects import SUBJECTS

FACE: Final = Box(90 / 360, 70 / 360, 262 / 360, 262 / 360)
"""A person's face without its hair, in fractions of the avatar's square."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A subject's picture and where its parts are, in fractions of the picture."""

    picture: Image.Image
    """RGBA. Do not change it."""
    worn: Box | None = None
    face: Box | None = None

    def fitted(self, width: int, height: int) -> Figure:
        """Return the figure scaled in proportion to fit into width x height pixels."""
        return replace(self, picture=fit(self.picture, width=width, height=height))


def figure(
    subject: Subject,
    sprites: SpriteCache,
    style: Style,
    *,
    width: int,
    height: int,
    near: bool = False,
    person_size: int = SPRITE_SIZE,
) -> Figure:
    """Return the subject in width x height pixels at most.

    A person is drawn at a side of `person_size` and then scaled; `near` draws one at the size asked for, to be sharp.
    """
    if subject.person is not None:
        whole = _bust(subject, subject.person, sprites, style, height if near else person_size)
        return whole.fitted(width, height)
    icon, worn = SUBJECTS[subject.kind].icon, subject.accessory
    if worn is None:
        return Figure(picture=sprites.sized(icon, style, width=width, height=height))

    def dress() -> Figure:
        head = kind_anchor(subject.kind, style)
        picture, _, box = wear(sprites.whole(icon, style), head, worn, sprites, style, bust=False)
        return Figure(picture=picture, worn=box)

    key = ("dressed", subject.kind, worn, style)
    return sprites.memo((*key, width, height), lambda: sprites.memo(key, dress).fitted(width, height))


def _bust(subject: Subject, person: Person, sprites: SpriteCache, style: Style, size: int) -> Figure:
    """Return a person's bust, drawn `size` pixels high; people are too many to be remembered."""
    picture = rasterise(person_svg(person), size)
    if style == "line":
        grey = ImageOps.grayscale(picture.convert("RGB")).convert("RGBA")
        grey.putalpha(picture.getchannel("A"))
        picture = grey
    worn = None
    if subject.accessory is not None:
        head = head_anchor(person)
        picture, body, worn = wear(picture, head, subject.accessory, sprites, style, bust=True)
    else:
        left, top, right, bottom = visible_box(picture)
        picture = picture.crop((left, top, right, bottom))
        body = Box.of_pixels((-left, -top, size - left, size - top), picture.size)
    return Figure(picture=picture, worn=worn, face=FACE.within(body))
