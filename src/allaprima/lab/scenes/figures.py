"""Figures: one subject alone on a transparent ground, person or thing, with what it wears."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageOps

from allaprima.lab.scenes.people import person_svg
from allaprima.lab.scenes.spec import Person, Style, Subject
from allaprima.lab.scenes.sprites import SpriteCache, fit, rasterise, trim
from allaprima.lab.scenes.subjects import SUBJECTS


def figure(
    subject: Subject, sprites: SpriteCache, style: Style, *, width: int, height: int, flip: bool = False
) -> Image.Image:
    """The subject in RGBA, scaled in proportion to fit into width x height pixels. Do not change it."""
    if subject.person is not None:
        return fit(_portrait(subject.person, style), width=width, height=height)
    return sprites.sized(SUBJECTS[subject.kind].icon, style, width=width, height=height, flip=flip)


@lru_cache(maxsize=256)
def _portrait(person: Person, style: Style) -> Image.Image:
    picture = trim(rasterise(person_svg(person)))
    if style != "line":
        return picture
    grey = ImageOps.grayscale(picture.convert("RGB")).convert("RGBA")
    grey.putalpha(picture.getchannel("A"))
    return grey
