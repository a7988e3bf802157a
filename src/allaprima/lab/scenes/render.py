"""The renderer: a scene in, a picture and its exact ground truth out.

    rendered = render_scene(scene, SpriteCache())
    rendered.image    # (256, 256, 3) uint8

The same scene always gives the same picture. Place, layout and weather draw from random streams of their
own, so changing only a subject leaves the place around it as it was.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from allaprima.core.layout import Box, Layout, Thing
from allaprima.lab.scenes.figures import figure
from allaprima.lab.scenes.layout import spots_of
from allaprima.lab.scenes.light import Light, apply_picture, light_of
from allaprima.lab.scenes.places import paint_place
from allaprima.lab.scenes.spec import Scene, Style
from allaprima.lab.scenes.sprites import SPRITE_SIZE, SpriteCache
from allaprima.lab.scenes.weather import fall_over, veil_behind
from allaprima.paint.layout.figures import corner_of, room_of
from allaprima.paint.layout.spots import Spot


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A picture and what is where in it."""

    image: NDArray[np.uint8]
    """(H, W, 3) sRGB."""
    masks: NDArray[np.uint8]
    """(n, H, W): the visible pixels of each of the scene's n subjects, all copies together; soft edges, 0..255."""
    boxes: NDArray[np.float32]
    """(n, 4): x0, y0, x1, y1 in pixels around each mask."""
    things: Layout
    """Subjects and their parts, what stands behind them, and what all of it stands on."""


def render_scene(scene: Scene, sprites: SpriteCache, size: int = 256) -> Rendered:
    """Paint a scene, size x size pixels.

    Raises:
        AssetError: the sprites it needs are not in the cache.
    """
    light = light_of(scene.hour, scene.weather)
    rng = _stream(scene, "place")
    image, things = paint_place(scene.place, light, rng, sprites, style=scene.style, size=size)
    veil_behind(image, light)
    masks = [Image.new("L", (size, size)) for _ in scene.subjects]
    spots = spots_of(scene)
    numbers = {spot: number for number, spot in enumerate(sorted(spots, key=lambda spot: spot.x))}
    for spot in spots:
        stood = _stand(image, masks, scene, spot, light, sprites)
        things += (replace(thing, number=numbers[spot]) for thing in stood)
    fall_over(image, light, _stream(scene, "weather"))
    stacked = np.stack([np.asarray(mask) for mask in masks]) if masks else np.zeros((0, size, size), np.uint8)
    boxes = np.array([mask.getbbox() or (0, 0, 0, 0) for mask in masks], dtype=np.float32).reshape(-1, 4)
    return Rendered(image=np.asarray(image), masks=stacked, boxes=boxes, things=tuple(things))


def _stream(scene: Scene, purpose: str) -> random.Random:
    return random.Random(f"{purpose} {scene.seed}")


def _stand(
    image: Image.Image, masks: list[Image.Image], scene: Scene, spot: Spot, light: Light, sprites: SpriteCache
) -> list[Thing]:
    """Put one copy of a subject into the picture and its pixels into the masks; return it and its parts."""
    size = image.width
    subject = scene.subjects[spot.subject]
    width, height = room_of(spot, size)
    near = scene.framing == "portrait"
    person_size = SPRITE_SIZE * max(1, size // 256)  # as sharp in a large picture as in a usual one
    drawn = figure(
        subject, sprites, scene.style, width=width, height=height, near=near, person_size=person_size
    )
    picture = drawn.picture
    left, top = corner_of(spot, picture.size, size, person=subject.person is not None, near=near)
    if subject.person is None and scene.framing == "scene":
        _shadow(image, left, top, picture, soft=scene.style not in _FLAT)
    lit = apply_picture(light.subject, picture)
    if scene.style not in _FLAT:
        lit = _rim(lit, light)
    image.paste(lit, (left, top), lit)
    alpha = picture.getchannel("A")
    for index, mask in enumerate(masks):
        mask.paste(255 if index == spot.subject else 0, (left, top), alpha)
    whole = Box.of_pixels((left, top, left + picture.width, top + picture.height), image.size)
    named = (("face", drawn.face), (subject.accessory, drawn.worn))
    parts = (Thing(kind=kind, box=box.within(whole), layer="part") for kind, box in named if kind and box)
    return [Thing(kind=subject.kind, box=whole), *parts]


def _shadow(image: Image.Image, left: int, top: int, picture: Image.Image, *, soft: bool) -> None:
    """Draw a pool of dark below what stands on the ground, as wide as its foot."""
    alpha = picture.getchannel("A")
    strip = alpha.crop((0, round(picture.height * 0.86), picture.width, picture.height)).point(_SOLID)
    box = strip.getbbox()
    if box is None:
        return
    middle, width = left + (box[0] + box[2]) / 2, max(box[2] - box[0], picture.width * 0.35) * 1.3
    pool = _pool(soft).resize((round(width), max(4, round(width * 0.2))), Image.Resampling.BILINEAR)
    foot = top + picture.height - pool.height * 0.52
    image.paste((14, 16, 44), (round(middle - width / 2), round(foot)), pool)


def _rim(picture: Image.Image, light: Light) -> Image.Image:
    """Return the light of the hour along the upper edge."""
    alpha = picture.getchannel("A")
    step = max(1, picture.height // 60)
    edge = ImageChops.subtract(alpha, ImageChops.offset(alpha, step, step)).filter(ImageFilter.BoxBlur(step))
    edge = ImageChops.multiply(edge, alpha).point(_scaled(light.rim_strength))
    color = Image.new("RGBA", picture.size, (*light.rim, 255))
    lit = Image.composite(color, picture, edge)
    lit.putalpha(alpha)
    return lit


@lru_cache(maxsize=2)
def _pool(soft: bool) -> Image.Image:
    """Return a round mask, dark in the middle, that the shadow is scaled from; in flat art it has an edge."""
    axis = np.linspace(-1, 1, 96)
    distance = np.sqrt(axis[None, :] ** 2 + axis[:, None] ** 2)
    if not soft:
        return Image.fromarray(np.where(distance < 0.86, np.uint8(70), np.uint8(0)))
    return Image.fromarray((150 * np.clip(1.25 - 1.25 * distance, 0, 1) ** 1.2).clip(0, 150).astype(np.uint8))


@lru_cache(maxsize=16)
def _scaled(share: float) -> list[int]:
    """Return the table that multiplies a mask by a share (0..1)."""
    return [round(value * share) for value in range(256)]


_FLAT: frozenset[Style] = frozenset({"flat", "line"})
"""Styles without gradients: no soft shadow, no rim of light."""
_SOLID = [0] * 128 + [255] * 128
