"""Weather over the finished picture: rain, snowfall and veils of fog."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from allaprima.lab.scenes.light import Light, mix


def veil_behind(image: Image.Image, light: Light) -> None:
    """Fog between the place and its subjects, thickest at the horizon. Changes the picture."""
    if light.weather == "fog":
        image.paste(mix(light.haze, (236, 238, 242), 0.35), (0, 0), _bank(image.width, 0.62))


def fall_over(image: Image.Image, light: Light, rng: random.Random) -> None:
    """Draw what falls or drifts before everything. Changes the picture."""
    size = image.width
    if light.weather == "fog":
        image.paste(mix(light.haze, (236, 238, 242), 0.35), (0, 0), _bank(size, 0.14))
    elif light.weather == "rain":
        image.paste((214, 226, 244), (0, 0), _streaks(size, rng))
    elif light.weather == "snow":
        image.paste((255, 255, 255), (0, 0), _flakes(size, rng))


def _streaks(size: int, rng: random.Random) -> Image.Image:
    mask = Image.new("L", (2 * size, 2 * size))
    pen = ImageDraw.Draw(mask)
    slant = rng.uniform(0.12, 0.28) * rng.choice((-1, 1))
    for _ in range(70):
        x, y = rng.uniform(-0.1, 1.1) * 2 * size, rng.uniform(-0.1, 1.0) * 2 * size
        length = rng.uniform(0.06, 0.12) * 2 * size
        ends = [(x, y), (x + slant * length, y + length)]
        pen.line(ends, fill=rng.randint(120, 190), width=max(1, size // 110))
    return mask.reduce(2)


def _flakes(size: int, rng: random.Random) -> Image.Image:
    mask = Image.new("L", (2 * size, 2 * size))
    pen = ImageDraw.Draw(mask)
    for _ in range(80):
        x, y, radius = rng.random() * 2 * size, rng.random() * 2 * size, rng.uniform(0.004, 0.011) * 2 * size
        pen.ellipse([(x - radius, y - radius), (x + radius, y + radius)], fill=rng.randint(190, 250))
    return mask.reduce(2)


@lru_cache(maxsize=8)
def _bank(size: int, strength: float) -> Image.Image:
    """Return a mask of fog: thin above, thickest below the middle, thinner again at the foot."""
    rows = np.interp(np.linspace(0, 1, size), (0.0, 0.3, 0.62, 1.0), (0.35, 0.75, 1.0, 0.5))
    column = Image.fromarray((255 * strength * rows).round().astype(np.uint8)[:, None])
    return column.resize((size, size), Image.Resampling.NEAREST)
