"""Pictures in many hands, painted by rules over rendered scenes: the styles that a restyling learns beside our four.

After Haeberli 1990 ("Paint by numbers"): marks are put on a canvas, each in the colour that the scene has there.
What differs from hand to hand is the mark (strokes, dots, hatching, tiles, washes), its size and direction, the
palette and the ground it is put on. No foreign picture is needed, so none has to be licensed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps


def paint_by_rules(scene: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Return a scene (S, S, 3) painted in a hand drawn by chance, in a palette drawn by chance."""
    hand = HANDS[int(rng.integers(len(HANDS)))]
    return np.asarray(hand(Image.fromarray(recolor(scene, rng)), rng))


def recolor(scene: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Return a scene in another palette: its hues turned, or its tones laid on a ramp of a few colours."""
    kind = rng.random()
    if kind < 0.3:
        return scene
    if kind < 0.65:
        hue, saturation, value = Image.fromarray(scene).convert("HSV").split()
        turned = (np.asarray(hue).astype(int) + int(rng.integers(256))).astype(np.uint8)
        gain = rng.uniform(0.4, 1.6)
        richer = saturation.point([min(255, round(level * gain)) for level in range(256)])
        return np.asarray(Image.merge("HSV", (Image.fromarray(turned), richer, value)).convert("RGB"))
    tones = np.asarray(ImageOps.autocontrast(Image.fromarray(scene).convert("L")))
    stops = (
        np.sort(rng.uniform(0, 255, (int(rng.integers(2, 6)), 1)), axis=0) * 0.6
        + rng.uniform(0, 255, 3) * 0.4
    )
    if rng.random() < 0.5:
        stops = (stops + rng.normal(0, 45, (len(stops), 3))).clip(0, 255)
    axis = np.linspace(0, 255, len(stops))
    return np.stack([np.interp(tones, axis, stops[:, band]) for band in range(3)], axis=2).astype(np.uint8)


def _strokes(scene: Image.Image, rng: Generator) -> Image.Image:
    """Paint short curved strokes along a flowing field, the large ones first."""
    side, canvas = scene.width, scene.filter(ImageFilter.GaussianBlur(8))
    pen, colors = ImageDraw.Draw(canvas), np.asarray(scene)
    turns = rng.uniform(0, math.tau, 3)
    waves = rng.uniform(0.5, 3, 3) / side * math.tau
    jitter, scale = rng.uniform(4, 30), rng.uniform(0.6, 1.8)
    for width in (9 * scale, 5 * scale, 3 * scale):
        for x, y in rng.uniform(0, side, (int(side * side / (width * width * 3)), 2)):
            color = (colors[int(y), int(x)] + rng.normal(0, jitter, 3)).clip(0, 255).astype(int)
            angle = turns[0] + math.sin(waves[0] * x + turns[1]) * 2 + math.cos(waves[1] * y + turns[2]) * 2
            bend, length = rng.normal(0, 0.4), width * rng.uniform(1.5, 4)
            line = [(x, y)]
            for _ in range(3):
                angle += bend
                line.append(
                    (line[-1][0] + length / 3 * math.cos(angle), line[-1][1] + length / 3 * math.sin(angle))
                )
            pen.line(line, fill=tuple(map(int, color)), width=max(1, round(width)), joint="curve")
    return canvas


def _dots(scene: Image.Image, rng: Generator) -> Image.Image:
    """Put round dots of one size on a ground, as pointillists do."""
    side, ground = scene.width, tuple(int(part) for part in rng.integers(0, 256, 3))
    canvas = Image.blend(scene.filter(ImageFilter.GaussianBlur(6)), Image.new("RGB", scene.size, ground), 0.5)
    pen, colors = ImageDraw.Draw(canvas), np.asarray(scene)
    radius, jitter = rng.uniform(1.5, 5), rng.uniform(8, 45)
    for x, y in rng.uniform(0, side, (int(1.2 * side * side / (3 * radius * radius)), 2)):
        color = (colors[int(y), int(x)] + rng.normal(0, jitter, 3)).clip(0, 255).astype(int)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(map(int, color)))
    return canvas


def _hatching(scene: Image.Image, rng: Generator) -> Image.Image:
    """Draw with ink on paper: outlines, and lines that lie closer where it is dark."""
    side = scene.width
    tones = np.asarray(ImageOps.autocontrast(scene.convert("L"))).astype(float) / 255
    rows, columns = np.mgrid[0:side, 0:side]
    covered, period = np.zeros((side, side)), rng.uniform(4, 9)
    angles = rng.uniform(0, math.pi) + np.arange(3) * rng.uniform(0.6, 1.2)
    for angle, darker_than in zip(angles, (0.75, 0.5, 0.28), strict=True):
        across = columns * math.cos(angle) + rows * math.sin(angle) + rng.normal(0, 0.3, (side, side))
        covered = np.maximum(covered, ((across % period) < period * 0.3) * (tones < darker_than))
    lines = np.asarray(scene.convert("L").filter(ImageFilter.FIND_EDGES)).astype(float) / 255
    covered = np.maximum(covered, np.clip(lines * 3, 0, 1))
    paper, ink = rng.uniform(190, 255, 3), rng.uniform(0, 110, 3)
    inked = paper + (ink - paper) * covered[..., None]
    if rng.random() < 0.5:  # over a thin wash of the scene's colours
        inked = inked * (0.5 + 0.5 * np.asarray(scene).astype(float) / 255)
    return Image.fromarray(inked.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.5))


def _tiles(scene: Image.Image, rng: Generator) -> Image.Image:
    """Lay a mosaic of uneven tiles, with or without dark joints."""
    side, count = scene.width, int(rng.integers(150, 900))
    small = side // 2
    rows, columns = np.mgrid[0:small, 0:small]
    seeds = rng.uniform(0, small, (count, 2))
    nearest, second, owner = (
        np.full((small, small), np.inf),
        np.full((small, small), np.inf),
        np.zeros((small, small), int),
    )
    for number, (y, x) in enumerate(seeds):
        away = np.hypot(rows - y, columns - x)
        closer = away < nearest
        second = np.where(closer, nearest, np.minimum(second, away))
        nearest, owner = np.where(closer, away, nearest), np.where(closer, number, owner)
    picked = np.asarray(scene)[(seeds[:, 0] * 2).astype(int), (seeds[:, 1] * 2).astype(int)]
    tiles = (picked + rng.normal(0, rng.uniform(0, 25), picked.shape)).clip(0, 255).astype(np.uint8)[owner]
    if rng.random() < 0.6:
        tiles = (tiles * np.clip((second - nearest) / 1.5, rng.uniform(0.1, 0.5), 1)[..., None]).astype(
            np.uint8
        )
    return Image.fromarray(tiles).resize(scene.size, Image.Resampling.BICUBIC)


def _washes(scene: Image.Image, rng: Generator) -> Image.Image:
    """Lay thin colour on rough paper, darker where washes end."""
    size = int(rng.choice((5, 7, 9)))
    washed = scene.filter(ImageFilter.ModeFilter(size)).filter(ImageFilter.GaussianBlur(1.2))
    edges = np.asarray(washed.convert("L").filter(ImageFilter.FIND_EDGES)).astype(float)[..., None] / 255
    side = scene.width
    coarse = Image.fromarray(rng.integers(0, 256, (side // 8, side // 8)).astype(np.uint8))
    blotches = (
        np.asarray(coarse.resize(scene.size, Image.Resampling.BICUBIC)).astype(float)[..., None] / 255 - 0.5
    )
    grain = rng.normal(0, 1, (side, side, 1))
    light = rng.uniform(0.25, 0.6)
    colors = 255 - (255 - np.asarray(washed).astype(float)) * (1 - light) * (1 + 0.5 * blotches + edges)
    return Image.fromarray((colors + grain * rng.uniform(2, 8)).clip(0, 255).astype(np.uint8))


def _print(scene: Image.Image, rng: Generator) -> Image.Image:
    """Print in a few flat inks with heavy outlines, as woodcuts and posters are."""
    flat = ImageOps.posterize(scene.filter(ImageFilter.ModeFilter(5)), int(rng.integers(1, 4)))
    edges = scene.convert("L").filter(ImageFilter.GaussianBlur(1)).filter(ImageFilter.FIND_EDGES)
    weight = int(rng.choice((1, 3, 5)))
    lines = (
        edges.point([0] * 24 + [255] * 232)
        .filter(ImageFilter.MaxFilter(weight))
        .filter(ImageFilter.GaussianBlur(0.6))
    )
    ink = tuple(int(part) for part in rng.integers(0, 60, 3))
    return Image.composite(Image.new("RGB", scene.size, ink), flat, lines)


HANDS: Final[tuple[Callable[[Image.Image, Generator], Image.Image], ...]] = (
    _strokes, _dots, _hatching, _tiles, _washes, _print,
)  # fmt: skip
