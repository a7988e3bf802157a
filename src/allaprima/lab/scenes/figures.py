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
from allaprima.lab.scenes.subjects import SUBJECTS

FACE: Final = Box(90 / 360, 70 / 360, 262 / 360, 262 / 360)
"""A person's face without its hair, in fractions of the avatar's square."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A subject's picture and where its parts are, in fractions of the picture."""

    picture: Image.Image
    """RGBA. Do not change it."""
    worn: Box | None = None
    """What it wears."""
    face: Box | None = None
    """A person's face."""


def figure(
    subject: Subject, sprites: SpriteCache, style: Style, *, width: int, height: int, near: bool = False
) -> Figure:
    """Return the subject, scaled in proportion to fit into width x height pixels.

    `near` draws a person at the size that is needed; else they are scaled from the size of all sprites.
    """
    if subject.person is not None:
        whole = _bust(subject, subject.person, sprites, style, height if near else SPRITE_SIZE)
        return replace(whole, picture=fit(whole.picture, width=width, height=height))
    icon, worn = SUBJECTS[subject.kind].icon, subject.accessory
    if worn is None:
        return Figure(picture=sprites.sized(icon, style, width=width, height=height))

    def dress() -> Figure:
        head = kind_anchor(subject.kind, style)
        dressed = wear(sprites.whole(icon, style), head, worn, sprites, style, bust=False)
        return Figure(picture=dressed.picture, worn=_share(dressed.worn, dressed.picture))

    def fitted() -> Figure:
        whole = sprites.memo(key, dress)
        return replace(whole, picture=fit(whole.picture, width=width, height=height))

    key = ("dressed", subject.kind, worn, style)
    return sprites.memo((*key, width, height), fitted)


def _bust(subject: Subject, person: Person, sprites: SpriteCache, style: Style, size: int) -> Figure:
    """Return a person's bust, drawn `size` pixels high; people are too many to be remembered."""
    picture = rasterise(person_svg(person), size)
    if style == "line":
        grey = ImageOps.grayscale(picture.convert("RGB")).convert("RGBA")
        grey.putalpha(picture.getchannel("A"))
        picture = grey
    if subject.accessory is None:
        left, top, right, bottom = visible_box(picture)
        body = Box(-left, -top, size - left, size - top)
        picture = picture.crop((left, top, right, bottom))
        return Figure(picture=picture, face=FACE.within(_share(body, picture)))
    dressed = wear(picture, head_anchor(person), subject.accessory, sprites, style, bust=True)
    return Figure(
        picture=dressed.picture,
        worn=_share(dressed.worn, dressed.picture),
        face=FACE.within(_share(dressed.body, dressed.picture)),
    )


def _share(pixels: tuple[float, float, float, float], picture: Image.Image) -> Box:
    """Return a box in pixels of a picture as fractions of it."""
    width, height = picture.size
    left, top, right, bottom = pixels
    return Box(left / width, top / height, right / width, bottom / height)
