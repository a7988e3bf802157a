"""Painting what an evaluation asks for by the door that everybody uses: a request at a time, turbo and all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from allaprima.core.layout import Layout
from allaprima.core.progress import OnProgress
from allaprima.lab.evaluation.accuracy import unseen_scenes
from allaprima.lab.scenes.spec import Scene
from allaprima.lab.training.latents import captions_of
from allaprima.paint.painter import Painter

FIRST_SCENE = 5_200_000_000
"""The first of the scenes whose captions are painted; nothing was trained or measured on them."""


@dataclass(frozen=True, kw_only=True)
class AskedPicture:
    """A picture to paint."""

    prompt: str
    seed: int
    layout: Layout = ()


def paint_asked(
    painter: Painter, asked: Sequence[AskedPicture], steps: int, what: str, on_progress: OnProgress
) -> Iterator[Tensor]:
    """Yield the picture (3, H, W) in [0, 1] of each, painted as `prima paint` does in so many steps."""
    for done, one in enumerate(asked, 1):
        fields: dict[str, Any] = {"layout": one.layout} if one.layout else {}
        picture = painter.paint(painter.request(prompt=one.prompt, seed=one.seed, steps=steps, **fields))
        rows = np.frombuffer(picture.rgb, np.uint8).reshape(picture.height, picture.width, 3)
        yield torch.from_numpy(rows.copy()).permute(2, 0, 1).float() / 255
        on_progress(what, done, len(asked))


def captioned(count: int) -> tuple[list[Scene], list[AskedPicture]]:
    """Return unseen scenes, and the first English caption of each with a seed of its own."""
    scenes = unseen_scenes(count, FIRST_SCENE)
    return scenes, [
        AskedPicture(prompt=captions_of(scene)[0], seed=index) for index, scene in enumerate(scenes)
    ]
