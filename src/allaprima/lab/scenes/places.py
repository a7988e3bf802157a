"""Places: the sixteen backgrounds, each drawn anew from a seed.

A place paints sky, ground and props on a canvas and leaves the lower fifth of the picture free as floor for the subjects.
What makes a place that place (palm and sea, skyline, curtains) is always there; heights, shapes, numbers
and hues change with the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from PIL import Image

from allaprima.lab.scenes import places_town, places_wild
from allaprima.lab.scenes.canvas import Canvas
from allaprima.lab.scenes.light import Light
from allaprima.lab.scenes.spec import Place, Style
from allaprima.lab.scenes.sprites import SpriteCache

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
    "room": places_town.room,
    "stage": places_town.stage,
    "harbor": places_town.harbor,
}
PROP_ICONS = (
    "palm-tree", "evergreen-tree", "deciduous-tree", "cactus", "cloud", "ringed-planet", "herb", "sailboat",
    "blossom", "tulip", "potted-plant",
)  # fmt: skip


def paint_place(
    place: Place, light: Light, rng: random.Random, sprites: SpriteCache, *, style: Style, size: int
) -> Image.Image:
    """The background of a place in a light, RGB, size x size."""
    canvas = Canvas(size, light, rng, sprites, style)
    PLACES[place](canvas)
    return canvas.finish()
