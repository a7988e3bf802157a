"""Does a thing stand where it was asked for? The box of what is found in the picture, over the box that was told.

A box is found by the shipped matte or by the judge's cells, whichever agrees better with the truth on renders. What
it reaches there is the most that a painting can.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from allaprima.core.layout import Box, Thing
from allaprima.lab.comparison.asked_pictures import AskedPicture
from allaprima.lab.evaluation.judge import Judge
from allaprima.lab.evaluation.targets import INNER
from allaprima.lab.scenes.captions import describe
from allaprima.lab.scenes.framing import draw_framed
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Scene
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.retouch.matte import MatteFinder, settled

FIRST_SCENE = 5_400_000_000
FAINT = 0.04
"""Rows and columns that hold less of a matte than this share of the fullest one are specks beside the thing."""
SURE = 0.5
"""From this belief on a cell of the judge's shows the thing."""
_MOST_TRIES = 200

FindBox = Callable[[Tensor, str], Box | None]
"""Return the box of a kind in a picture (3, H, W) in [0, 1]; None where there is nothing."""


@dataclass(frozen=True, kw_only=True)
class PlacedThing:
    """One thing, and where it is to stand."""

    asked: AskedPicture
    scene: Scene
    thing: Thing


def placed_things(count: int, sprites: SpriteCache) -> list[PlacedThing]:
    """Return things of any size at any place that the renderer gives them, with prompts that name them."""
    found: list[PlacedThing] = []
    seed = FIRST_SCENE
    while len(found) < count:
        scene = draw_framed(seed, split="any")
        seed += 1
        if scene.framing != "anywhere" or [one.count for one in scene.subjects] != [1]:
            continue
        thing = next(one for one in render_scene(scene, sprites).things if one.layer == "subject")
        asked = AskedPicture(prompt=_named(scene), seed=len(found), layout=(thing,))
        found.append(PlacedThing(asked=asked, scene=scene, thing=thing))
    return found


def _named(scene: Scene) -> str:
    rng = random.Random(f"placed {scene.seed}")
    for _ in range(_MOST_TRIES):
        told = describe(scene, rng, "en")
        if "subjects" in told.said:
            return told.text
    raise AssertionError(f"no caption of {scene} names its subject in {_MOST_TRIES} tries")


def rendered(placed: Sequence[PlacedThing], sprites: SpriteCache) -> Iterator[Tensor]:
    """Yield the scene itself (3, H, W), for what a box's finder can reach."""
    for one in placed:
        yield torch.from_numpy(render_scene(one.scene, sprites).image.copy()).permute(2, 0, 1).float() / 255


def by_matte(finder: MatteFinder) -> FindBox:
    """Return a finder of the box around all that the matte holds, but for specks."""

    def find(picture: Tensor, kind: str) -> Box | None:
        del kind
        pixels = picture.permute(1, 2, 0).mul(255).round().to(torch.uint8).numpy()
        matte = settled(finder.find(Image.fromarray(pixels))) > 0.5
        if not matte.any():
            return None
        edges = []
        for along in (0, 1):
            held = matte.sum(along)
            kept = np.flatnonzero(held >= max(1.0, FAINT * held.max()))
            edges.append((kept[0] / len(held), (kept[-1] + 1) / len(held)))
        (left, right), (top, bottom) = edges
        return Box(float(left), float(top), float(right), float(bottom))

    return find


def by_judge(judge: Judge) -> FindBox:
    """Return a finder of the box around the cells in which the judge sees the kind.

    It learned to name things in the inner part of their boxes alone, so what it sees is enlarged by as much.
    """

    @torch.inference_mode()
    def find(picture: Tensor, kind: str) -> Box | None:
        belief = judge(picture[None]).kind[0].softmax(0)[judge.config.kinds.index(kind)]
        rows, columns = torch.nonzero(belief >= SURE, as_tuple=True)
        if not len(rows):
            return None
        spans = []
        for at, cells in ((columns, belief.shape[1]), (rows, belief.shape[0])):
            low, high = float(at.min()) / cells, float(at.max() + 1) / cells
            half, middle = (high - low) / (4 * INNER), (low + high) / 2
            spans.append((max(0.0, middle - half), min(1.0, middle + half)))
        (left, right), (top, bottom) = spans
        return Box(left, top, right, bottom)

    return find


def mean_overlap(placed: Sequence[PlacedThing], pictures: Iterator[Tensor], find: FindBox) -> float:
    """Return the mean over pictures of the found box's intersection with the told one, over their union."""
    shares = []
    for one, picture in zip(placed, pictures, strict=True):
        found = find(picture, one.thing.kind)
        shares.append(0.0 if found is None else overlap(found, _visible(one.thing.box)))
    return sum(shares) / len(shares)


def overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(0.0, across) * max(0.0, down)
    return shared / (one.width * one.height + other.width * other.height - shared)


def _visible(box: Box) -> Box:
    """Return the part of a box inside the picture: a bust reaches below it."""
    left, top, right, bottom = (min(1.0, max(0.0, edge)) for edge in box)
    return Box(left, top, right, bottom)
