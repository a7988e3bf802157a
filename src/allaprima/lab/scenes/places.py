"""Places: the sixteen backgrounds, each drawn anew from a seed.

A place paints sky, ground and props on a canvas and leaves the lower fifth of the picture free as floor for
the subjects. What makes it that place (palm and sea, skyline, curtains) is always there; heights, shapes,
numbers and hues change with the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from PIL import Image, ImageChops, ImageFilter, ImageOps

from allaprima.core.layout import Thing
from allaprima.lab.scenes import places_indoors, places_town, places_wild
from allaprima.lab.scenes.canvas import Canvas
from allaprima.lab.scenes.light import Color, Light
from allaprima.lab.scenes.spec import Style
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.layout.vocabulary import Hour, Place

PLACES: dict[Place, Callable[[Canvas], None]] = {
    "beach": places_wild.beach,
    "rooftop": places_town.rooftop,
    "forest": places_wild.forest,
    "city": places_town.city,
    "desert": places_wild.desert,
    "mountain": places_wild.mountain,
    "meadow": places_wild.meadow,
    "snowfield": places_wild.snowfield,
    "lake": places_wild.lake,
    "street": places_town.street,
    "farm": places_town.farm,
    "park": places_town.park,
    "space": places_wild.space,
    "room": places_indoors.room,
    "stage": places_indoors.stage,
    "harbor": places_town.harbor,
}
PROP_ICONS = (
    "palm-tree", "evergreen-tree", "deciduous-tree", "cactus", "cloud", "ringed-planet", "herb", "sailboat",
    "blossom", "tulip", "potted-plant",
)  # fmt: skip


def paint_place(
    place: Place, light: Light, rng: random.Random, sprites: SpriteCache, *, style: Style, size: int
) -> tuple[Image.Image, list[Thing]]:
    """Return the background of a place in a light, RGB, size x size, and the things in it."""
    canvas = Canvas(size, light, rng, sprites, style)
    PLACES[place](canvas)
    return ink_wash(canvas.finish(), light) if style == "line" else canvas.finish(), canvas.things


_PAPERS: dict[Hour, tuple[Color, Color]] = {
    # what black and white become: the wash of an hour
    "day": ((134, 160, 186), (255, 255, 252)),
    "dawn": ((186, 140, 178), (255, 244, 240)),
    "sunset": ((204, 124, 84), (255, 240, 206)),
    "night": ((44, 56, 110), (208, 218, 248)),
}


def ink_wash(picture: Image.Image, light: Light) -> Image.Image:
    """Return the picture as a pale wash of one colour with ink along its edges, for line drawings to stand on."""
    grey = ImageOps.autocontrast(ImageOps.grayscale(picture))
    dark, bright = _PAPERS[light.hour]
    wash = ImageOps.colorize(grey, dark, bright)
    # A blurred difference, not a derivative: soft gradients of the sky leave no line.
    edges = ImageChops.difference(grey, grey.filter(ImageFilter.GaussianBlur(1.2))).point(_INK)
    wash.paste((40, 40, 56), (0, 0), edges)
    return wash


_INK = [min(200, max(0, value - 7) * 9) for value in range(256)]
