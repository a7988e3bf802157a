"""Figures: one subject alone on a transparent ground, person or thing, with what it wears."""

from __future__ import annotations

from PIL import Image, ImageOps

from allaprima.lab.scenes.accessories import kind_anchor, wear
from allaprima.lab.scenes.people import head_anchor, person_svg
from allaprima.lab.scenes.spec import Person, Style, Subject
from allaprima.lab.scenes.sprites import SpriteCache, fit, rasterise, trim
from allaprima.lab.scenes.subjects import SUBJECTS


def figure(subject: Subject, sprites: SpriteCache, style: Style, *, width: int, height: int) -> Image.Image:
    """Return the subject in RGBA, scaled in proportion to fit into width x height pixels. Do not change it."""
    if subject.person is not None:
        return fit(_portrait(subject, subject.person, sprites, style), width=width, height=height)
    icon, worn = SUBJECTS[subject.kind].icon, subject.accessory
    if worn is None:
        return sprites.sized(icon, style, width=width, height=height)

    def dress() -> Image.Image:
        head = kind_anchor(subject.kind, style)
        return wear(sprites.whole(icon, style), head, worn, sprites, style, bust=False)

    key = ("dressed", subject.kind, worn, style)
    return sprites.memo(
        (*key, width, height), lambda: fit(sprites.memo(key, dress), width=width, height=height)
    )


def _portrait(subject: Subject, person: Person, sprites: SpriteCache, style: Style) -> Image.Image:
    """Return a person's bust at full size; people are too many to be remembered."""
    picture = rasterise(person_svg(person))
    if style == "line":
        grey = ImageOps.grayscale(picture.convert("RGB")).convert("RGBA")
        grey.putalpha(picture.getchannel("A"))
        picture = grey
    if subject.accessory is not None:
        picture = wear(picture, head_anchor(person), subject.accessory, sprites, style, bust=True)
    return trim(picture)
