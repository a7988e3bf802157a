"""The canvas that places are drawn on: shapes in unit coordinates, graded by the light.

Everything is drawn at twice the size and reduced at the end, so edges are smooth. Coordinates are fractions
of the picture's side, (0, 0) at the top left.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from allaprima.core.layout import Box, LayoutLayer, Thing
from allaprima.lab.scenes.light import Color, Light, apply, apply_picture, mix
from allaprima.lab.scenes.spec import Style
from allaprima.lab.scenes.sprites import SpriteCache

Point = tuple[float, float]
SCALE = 2
FLAT_BANDS = 6
PROP_STEP = 16
"""Props come in heights of so many pixels, so that few sizes have to be made."""
SNOW: Color = (240, 246, 252)


class Canvas:
    """A picture in the making."""

    def __init__(
        self, size: int, light: Light, rng: random.Random, sprites: SpriteCache, style: Style
    ) -> None:
        self.size = size
        self.light = light
        self.rng = rng
        self.sprites = sprites
        self.style = style
        self.side = size * SCALE
        self.image = Image.new("RGB", (self.side, self.side))
        self.pen = ImageDraw.Draw(self.image)
        self.things: list[Thing] = []

    def finish(self) -> Image.Image:
        """Return the picture at its real size."""
        return self.image.reduce(SCALE)

    def tell(
        self, kind: str, box: tuple[float, ...], *, color: Color | None = None, layer: LayoutLayer = "behind"
    ) -> None:
        """Note down a thing and its box (left, top, right, bottom), if any of it is in the picture."""
        left, top, right, bottom = box
        if right > max(left, 0) and bottom > max(top, 0) and left < 1 and top < 1:
            self.things.append(Thing(kind=kind, box=Box(*box), color=color, layer=layer))

    def tell_ground(self, kind: str, top: float, *, color: Color | None = None, bottom: float = 1.0) -> None:
        """Note down a surface that is as wide as the picture."""
        self.tell(kind, (0.0, top, 1.0, bottom), color=color, layer="ground")

    def shade(self, color: Color, *, depth: float = 0.0, snow: float = 0.0) -> Color:
        """Return a daylight colour under this light; `depth` fades it into the haze, `snow` covers it in snowfall."""
        if snow and self.light.weather == "snow":
            color = mix(color, SNOW, snow)
        return mix(apply(self.light.ground, color), self.light.haze, depth)

    def vary(self, color: Color, amount: int = 10) -> Color:
        """Return the colour, moved a little at random."""
        r, g, b = (min(255, max(0, part + self.rng.randint(-amount, amount))) for part in color)
        return (r, g, b)

    def _points(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self.side, y * self.side) for x, y in points]

    def shape(self, points: Sequence[Point], color: Color) -> None:
        """Draw a filled polygon."""
        self.pen.polygon(self._points(points), fill=color)

    def box(self, x0: float, y0: float, x1: float, y1: float, color: Color, *, radius: float = 0.0) -> None:
        """Draw a filled rectangle, with round corners where a radius is given."""
        s = self.side
        corners = (round(x0 * s), round(y0 * s), round(x1 * s), round(y1 * s))
        if radius:
            self.pen.rounded_rectangle(corners, radius=radius * s, fill=color)
        else:
            self.pen.rectangle(corners, fill=color)

    def oval(self, x: float, y: float, rx: float, ry: float, color: Color) -> None:
        """Draw a filled ellipse by its centre and half axes."""
        s = self.side
        self.pen.ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), fill=color)

    def line(self, points: Sequence[Point], color: Color, width: float) -> None:
        """Draw a line through points; the width is a fraction of the side."""
        self.pen.line(self._points(points), fill=color, width=max(1, round(width * self.side)), joint="curve")

    def gradient(
        self, y0: float, y1: float, colors: Sequence[Color], *, x0: float = 0.0, x1: float = 1.0
    ) -> None:
        """Draw a box filled from top to bottom with colours at equal distances."""
        top, bottom = round(y0 * self.side), round(y1 * self.side)
        left, right = round(x0 * self.side), round(x1 * self.side)
        if bottom > top and right > left:
            self.image.paste(self._gradient(colors, right - left, bottom - top), (left, top))

    def gradient_shape(self, points: Sequence[Point], colors: Sequence[Color]) -> None:
        """Draw a polygon filled from its top to its bottom with colours at equal distances."""
        scaled = self._points(points)
        left = max(0, math.floor(min(x for x, _ in scaled)))
        right = min(self.side, math.ceil(max(x for x, _ in scaled)))
        top = max(0, math.floor(min(y for _, y in scaled)))
        bottom = min(self.side, math.ceil(max(y for _, y in scaled)))
        if right <= left or bottom <= top:
            return
        mask = Image.new("1", (right - left, bottom - top))
        ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in scaled], fill=1)
        self.image.paste(self._gradient(colors, *mask.size), (left, top), mask)

    def _gradient(self, colors: Sequence[Color], width: int, height: int) -> Image.Image:
        """Return a picture that goes through the colours from top to bottom; in bands for flat art."""
        column = Image.new("RGB", (1, len(colors)))
        column.putdata(list(colors))
        rows = FLAT_BANDS if self.style == "flat" else height
        # Rows at the middle of the outer colours, so that these are reached at the very top and bottom.
        column = column.resize((1, rows), Image.Resampling.BILINEAR, box=(0, 0.5, 1, len(colors) - 0.5))
        return column.resize((width, height), Image.Resampling.NEAREST)

    def glow(self, x: float, y: float, radius: float, color: Color, strength: float) -> None:
        """Draw a soft round light around a point."""
        side = max(2, round(2 * radius * self.side))
        mask = _halo(strength).resize((side, side), Image.Resampling.BILINEAR)
        self.image.paste(color, (round((x - radius) * self.side), round((y - radius) * self.side)), mask)

    def prop(
        self, icon: str, x: float, y: float, height: float, *, depth: float = 0.0, snow: float = 0.35
    ) -> None:
        """Draw a sprite that stands with the middle of its foot at (x, y)."""
        pixels = max(1, round(height * self.side / PROP_STEP)) * PROP_STEP
        flip = self.rng.random() < 0.5
        light = self.light
        cover = snow if light.weather == "snow" else 0.0
        key = ("prop", icon, self.style, pixels, flip, light.hour, light.weather, depth, cover)
        picture = self.sprites.memo(key, lambda: self._prop(icon, pixels, flip, depth, cover))
        place = (round(x * self.side - picture.width / 2), round(y * self.side - picture.height))
        self.image.paste(picture, place, picture)
        left, top, width, height = (value / self.side for value in (*place, *picture.size))
        self.tell(icon.replace("-", " "), (left, top, left + width, top + height))

    def _prop(self, icon: str, height: int, flip: bool, depth: float, cover: float) -> Image.Image:
        picture = self.sprites.sized(icon, self.style, width=2 * height, height=height, flip=flip)
        picture = apply_picture(self.light.ground, picture)
        if depth or cover:
            tone = self.light.haze if depth >= cover else self.shade(SNOW)
            veil = Image.new("RGB", picture.size, tone)
            alpha = picture.getchannel("A")
            picture = Image.blend(picture.convert("RGB"), veil, max(depth, cover))
            picture.putalpha(alpha)
        return picture

    def ridge(self, y: float, swing: float, *, waves: float = 2.0, steps: int = 40) -> list[Point]:
        """Draw a soft random skyline across the picture, closed along the bottom edge."""
        phases = [(self.rng.uniform(0, math.tau), waves * factor) for factor in (1.0, 1.9, 3.3)]
        points = []
        for step in range(steps + 1):
            x = step / steps
            lift = sum(
                math.sin(phase + math.tau * wave * x) / (1 + index)
                for index, (phase, wave) in enumerate(phases)
            )
            points.append((x, y - swing * lift / 1.8))
        return [*points, (1.0, 1.01), (0.0, 1.01)]

    def peaks(self, y: float, height: float, count: int) -> list[Point]:
        """Draw a jagged random skyline with `count` summits, closed along the bottom edge."""
        points: list[Point] = [(-0.02, y - height * self.rng.uniform(0.1, 0.5))]
        for index in range(count):
            middle = (index + self.rng.uniform(0.3, 0.7)) / count
            points.append((middle, y - height * self.rng.uniform(0.6, 1.0)))
            points.append(((index + 1) / count, y - height * self.rng.uniform(0.1, 0.4)))
        return [*points, (1.02, 1.01), (-0.02, 1.01)]


@lru_cache(maxsize=16)
def _halo(strength: float) -> Image.Image:
    """Return a round mask that falls smoothly from `strength` (0..1) in its middle to nothing."""
    axis = np.linspace(-1, 1, 128)
    distance = np.sqrt(axis[None, :] ** 2 + axis[:, None] ** 2)
    return Image.fromarray((255 * strength * np.clip(1 - distance, 0, 1) ** 2).round().astype(np.uint8))
