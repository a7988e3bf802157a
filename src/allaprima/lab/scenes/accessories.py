"""Accessories: what a head wears, put where that head has its eyes, its top and its neck.

Every head has a :class:`~allaprima.lab.scenes.people.HeadAnchor`; here x and widths are fractions of the
picture's width and y of its height. The kinds' anchors were measured by hand on their sprites.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image

from allaprima.core.layout import Box
from allaprima.lab.scenes.people import HeadAnchor
from allaprima.lab.scenes.spec import Style
from allaprima.lab.scenes.sprites import SpriteCache, visible_box
from allaprima.lab.scenes.wardrobe import garment, sewn
from allaprima.paint.layout.vocabulary import Accessory

ICONS: Final[dict[Accessory, str]] = {
    "sunglasses": "sunglasses",
    "top hat": "top-hat",
    "crown": "crown",
    "flower": "hibiscus",
}
"""The accessories that icons draw."""


def _head(
    eyes: tuple[float, float], top: tuple[float, float], neck: tuple[float, float], *, x: float = 0.5
) -> HeadAnchor:
    """Return the height and width of an upright head's eye line, of a hat's brim and of the neck."""
    return HeadAnchor(
        eyes_x=x, eyes_y=eyes[0], eyes_width=eyes[1],
        top_x=x, top_y=top[0], top_width=top[1],
        neck_x=x, neck_y=neck[0], neck_width=neck[1],
        tilt=0.0,
    )  # fmt: skip


HEADS: Final[dict[str, HeadAnchor]] = {
    "cat": _head((0.55, 0.66), (0.22, 0.52), (0.96, 0.74)),
    "dog": _head((0.37, 0.56), (0.08, 0.54), (0.95, 0.72)),
    "lion": _head((0.44, 0.58), (0.14, 0.54), (0.93, 0.66)),
    "fox": _head((0.57, 0.56), (0.26, 0.46), (0.95, 0.56)),
    "bear": _head((0.45, 0.6), (0.1, 0.5), (0.95, 0.7)),
    "panda": _head((0.46, 0.66), (0.1, 0.52), (0.96, 0.7)),
    "rabbit": _head((0.585, 0.54), (0.34, 0.44), (0.97, 0.62)),
    "tiger": _head((0.46, 0.58), (0.09, 0.52), (0.95, 0.66)),
    "monkey": _head((0.4, 0.5), (0.08, 0.48), (0.96, 0.56)),
    "frog": _head((0.22, 0.84), (0.13, 0.44), (0.96, 0.8)),
    "pig": _head((0.45, 0.6), (0.08, 0.46), (0.96, 0.7)),
    "cow": _head((0.45, 0.58), (0.17, 0.46), (0.95, 0.62)),
    "mouse": _head((0.69, 0.58), (0.36, 0.42), (0.98, 0.56)),
    "koala": _head((0.54, 0.66), (0.12, 0.48), (0.96, 0.66)),
    "wolf": _head((0.48, 0.56), (0.26, 0.48), (0.96, 0.5)),
    "hamster": _head((0.59, 0.56), (0.31, 0.44), (0.96, 0.66)),
    "raccoon": _head((0.55, 0.6), (0.1, 0.48), (0.96, 0.6)),
    "robot": _head((0.44, 0.72), (0.16, 0.56), (0.97, 0.7)),
    "alien": _head((0.5, 0.98), (0.1, 0.6), (0.95, 0.44)),
}
"""The kinds that accessories fit, as the Fluent styles draw them."""

_NOTO: Final[dict[str, HeadAnchor]] = {
    **HEADS,
    "dog": replace(HEADS["dog"], eyes_y=0.52, eyes_width=0.6),
    "lion": replace(HEADS["lion"], eyes_y=0.385, eyes_width=0.5, top_y=0.16),
    "tiger": replace(HEADS["tiger"], eyes_y=0.32, eyes_width=0.64),
    "rabbit": replace(HEADS["rabbit"], eyes_y=0.6, eyes_width=0.64, top_y=0.44, top_width=0.56),
    "fox": replace(HEADS["fox"], eyes_width=0.54, top_y=0.28),
    "monkey": replace(HEADS["monkey"], eyes_y=0.46),
    "pig": replace(HEADS["pig"], eyes_y=0.5, eyes_width=0.68),
    "mouse": replace(HEADS["mouse"], eyes_y=0.62, neck_width=0.66),
    "koala": replace(HEADS["koala"], eyes_y=0.46, eyes_width=0.64),
    "robot": replace(HEADS["robot"], eyes_y=0.52, top_y=0.32, eyes_width=0.74),
    "hamster": replace(HEADS["hamster"], eyes_y=0.52, top_y=0.26),
    "raccoon": _head((0.52, 0.2), (0.4, 0.2), (0.68, 0.16), x=0.13),
}


def kind_anchor(kind: str, style: Style) -> HeadAnchor:
    """Return where accessories sit on a kind of the subjects table that wears them."""
    return (_NOTO if style == "noto" else HEADS)[kind]


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """How an accessory hangs on its point: its width, and which point of its own lies there."""

    x: float
    y: float
    width: float
    """In pixels of the picture, as are x and y."""
    height: float | None = None
    """None keeps the accessory's proportion."""
    own_y: float = 0.5
    """The height within the accessory, 0 (top) to 1, that lies on the point."""
    tilt: float = 0.0


def wear(
    picture: Image.Image,
    head: HeadAnchor,
    accessory: Accessory,
    sprites: SpriteCache,
    style: Style,
    *,
    bust: bool,
) -> tuple[Image.Image, Box, Box]:
    """Return a new RGBA picture with the accessory on its head, trimmed, and where in it the old one and this are.

    `bust` says that the picture is cut off at its foot: then nothing hangs out below it.
    """
    item = garment(accessory, style) if sewn(accessory) else sprites.whole(ICONS[accessory], style)
    place = _fit(picture, head, accessory, bust=bust)
    width = max(1, round(place.width))
    height = max(1, round(place.height if place.height is not None else width * item.height / item.width))
    item = item.resize((width, height), Image.Resampling.LANCZOS)
    turn = math.radians(place.tilt)
    away = (place.own_y - 0.5) * height  # from the accessory's middle down to its point
    x, y = place.x + away * math.sin(turn), place.y - away * math.cos(turn)
    if place.tilt:
        item = item.rotate(-place.tilt, Image.Resampling.BICUBIC, expand=True)
    margin = picture.width
    whole = Image.new("RGBA", (picture.width + 2 * margin, picture.height + 2 * margin))
    whole.paste(picture, (margin, margin))
    left, top = round(x - item.width / 2) + margin, round(y - item.height / 2) + margin
    whole.alpha_composite(item, (left, top))
    if bust:
        whole = whole.crop((0, 0, whole.width, margin + picture.height))
    x0, y0, x1, y1 = visible_box(whole)
    dressed = whole.crop((x0, y0, x1, y1))
    body = (margin - x0, margin - y0, margin - x0 + picture.width, margin - y0 + picture.height)
    worn = (left - x0, top - y0, left - x0 + item.width, min(top + item.height, y1) - y0)
    return dressed, Box.of_pixels(body, dressed.size), Box.of_pixels(worn, dressed.size)


def _fit(picture: Image.Image, head: HeadAnchor, accessory: Accessory, *, bust: bool) -> _Fit:
    w, h = picture.size
    top_x, top_y, top_width = head.top_x * w, head.top_y * h, head.top_width * w
    neck_x, neck_y, neck_width = head.neck_x * w, head.neck_y * h, head.neck_width * w
    if accessory == "sunglasses":
        return _Fit(x=head.eyes_x * w, y=head.eyes_y * h, width=head.eyes_width * w, tilt=head.tilt)
    if accessory == "top hat":
        return _Fit(x=top_x, y=top_y, width=top_width * 1.2, own_y=0.82, tilt=head.tilt)
    if accessory == "crown":
        return _Fit(x=top_x, y=top_y, width=top_width * 1.05, own_y=0.84, tilt=head.tilt)
    if accessory == "party hat":
        return _Fit(x=top_x, y=top_y, width=top_width * 0.8, own_y=0.88, tilt=head.tilt)
    if accessory == "flower":
        y = top_y + (-0.04 if bust else 0.07) * h
        return _Fit(x=top_x + 0.46 * top_width, y=y, width=top_width * (0.6 if bust else 0.7), tilt=head.tilt)
    if accessory == "scarf":
        return _Fit(x=neck_x, y=neck_y, width=neck_width * 1.16, own_y=0.3 if bust else 0.18)
    if accessory == "bow tie":
        return _Fit(x=neck_x, y=neck_y + 0.02 * h, width=neck_width * 0.8)
    return _headphones(picture, head, bust=bust)


def _headphones(picture: Image.Image, head: HeadAnchor, *, bust: bool) -> _Fit:
    """Draw headphones from over the head to below the eyes, as wide as the head is at the eyes."""
    w, h = picture.size
    alpha = picture.getchannel("A")
    middle = round(head.top_x * w)
    column = alpha.crop((middle, 0, middle + 1, h)).getbbox()
    # High hair is pressed down, as headphones do.
    crown = max(column[1] if column is not None else 0, head.top_y * h - 0.14 * h)
    row = round(head.eyes_y * h)
    span = alpha.crop((0, row, w, row + 1)).getbbox() or (0, 0, w, 1)
    width = head.top_width * w * 1.12 if bust else min(span[2] - span[0], head.eyes_width * w * 1.7) * 1.06
    top, bottom = crown - 0.035 * w, max(head.eyes_y * h + (0.12 if bust else 0.2) * w, crown + 0.42 * w)
    x = head.top_x * w + (0.02 * w if bust else 0.0)
    return _Fit(x=x, y=(top + bottom) / 2, width=width, height=bottom - top, tilt=head.tilt)
