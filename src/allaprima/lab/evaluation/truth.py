"""Rendered scenes with the box of every single copy, which is what the judge is taught and tested on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from allaprima.lab.evaluation.targets import Copy
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Scene
from allaprima.lab.scenes.sprites import SpriteCache


def render_truth(scene: Scene, sprites: SpriteCache, side: int = 256) -> tuple[Image.Image, list[Copy]]:
    """Render a scene and find all copies of all subjects in it."""
    rendered = render_scene(scene, sprites, side)
    copies = []
    for subject, mask in zip(scene.subjects, rendered.masks, strict=True):
        boxes = split_copies(mask, subject.count)
        copies += [Copy(subject.kind, subject.accessory, box) for box in boxes]
    return Image.fromarray(rendered.image), copies


def split_copies(mask: NDArray[np.uint8], count: int) -> list[tuple[float, float, float, float]]:
    """Return the boxes of `count` equal copies from their common mask (S, S), in fractions of its sides.

    The renderer sets two or three copies in a row and four in a square, at nearly equal distances, so each cut
    lies near an equal part of the common box, where least of the mask is. Copies of which nothing is visible have
    no box.
    """
    columns = count if count <= 3 else 2
    rows = -(-count // columns)
    whole = _box(mask)
    if whole is None:
        return []
    left, top, right, bottom = whole
    xs = _cuts(mask.sum(0, dtype=np.int64), left, right, columns)
    ys = _cuts(mask.sum(1, dtype=np.int64), top, bottom, rows)
    boxes = []
    for row in range(rows):
        for column in range(columns):
            inner = _box(mask[ys[row] : ys[row + 1], xs[column] : xs[column + 1]])
            if inner is not None:
                x, y = xs[column], ys[row]
                edges = (x + inner[0], y + inner[1], x + inner[2], y + inner[3])
                boxes.append(tuple(edge / mask.shape[0] for edge in edges))
    return boxes


def _cuts(covered: NDArray[np.int64], start: int, end: int, parts: int) -> list[int]:
    """Return the edges of `parts` nearly equal parts of start..end, each where least is covered."""
    play = (end - start) // (8 * parts)
    cuts = []
    for part in range(1, parts):
        middle = start + (end - start) * part // parts
        near = covered[middle - play : middle + play + 1]
        cuts.append(middle - play + int(near.argmin()))
    return [start, *cuts, end]


def _box(mask: NDArray[np.uint8]) -> tuple[int, int, int, int] | None:
    """Return the left, top, right and bottom edge of what is more than half visible."""
    rows, columns = np.nonzero(mask > 127)
    if len(rows) == 0:
        return None
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
