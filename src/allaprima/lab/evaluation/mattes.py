"""How well subjects are cut out of scenes that nothing has learned from, and how fast that and restyling are."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from allaprima.core.progress import OnProgress
from allaprima.core.retouch import CutOut, Operation, Restyle
from allaprima.lab.evaluation.measures import Measure
from allaprima.lab.scenes.framing import draw_framed
from allaprima.lab.scenes.mattes import render_with_matte
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.retouch.finders import get_finder
from allaprima.paint.retouch.matte import settled
from allaprima.paint.retouch.retoucher import Retoucher

TEST_SEED: Final = 4_900_000_000
"""Of the first scene. The networks learn from 4,000,000,000 on, far fewer than lie between."""
SCENES: Final = 200
RUNS: Final = 15
"""Of the timing, after two that warm up."""


def measure_mattes(
    retoucher: Retoucher,
    sprites: SpriteCache,
    scenes: int = SCENES,
    on_progress: OnProgress = lambda _what, _done, _total: None,
) -> list[Measure]:
    """Return how well the shipped finder's mattes agree with the renderer's, in the style that Vignette paints."""
    finder = get_finder(CutOut(), retoucher.workshop)
    overlaps, errors = [], []
    for index, truth in enumerate(unseen_mattes(scenes, sprites), 1):
        found = settled(finder.find(Image.fromarray(truth[..., :3])))
        wanted = truth[..., 3].astype(np.float32) / 255
        overlaps.append(overlap(found, wanted))
        errors.append(float(np.abs(found - wanted).mean()))
        on_progress("cutting out of scenes", index, scenes)
    where = f"matte on {scenes} unseen scenes"
    return [
        Measure(
            name=f"{where}: IoU", value=statistics.mean(overlaps), unit="", better="more", must=0.95, aim=0.98
        ),
        Measure(
            name=f"{where}: alpha MAE", value=statistics.mean(errors), unit="", better="less", must=0.02, aim=0.01
        ),
    ]  # fmt: skip


def measure_retouching_times(retoucher: Retoucher, sprites: SpriteCache, runs: int = RUNS) -> list[Measure]:
    """Return the median times of cutting out of, and restyling, a picture of 256 x 256 pixels."""
    picture = Image.fromarray(next(unseen_mattes(1, sprites))[..., :3])
    asked: dict[str, Operation] = {"cut-out": CutOut(), "restyle": Restyle(style="flat")}
    return [
        Measure(
            name=f"{name} of a 256 picture", value=seconds_of(retoucher, picture, operation, runs), unit="s",
            better="less", must=0.5, aim=0.1,
        )
        for name, operation in asked.items()
    ]  # fmt: skip


def unseen_mattes(count: int, sprites: SpriteCache) -> Iterator[NDArray[np.uint8]]:
    """Yield scenes with their mattes (256, 256, 4) on which nothing was trained, portraits among them."""
    for index in range(count):
        yield render_with_matte(draw_framed(TEST_SEED + index, split="any"), sprites)


def overlap(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Return the intersection over the union of what two mattes (H, W) cover more than half; 1 if that is nothing."""
    one, other = found > 0.5, wanted > 0.5
    union = float((one | other).sum())
    return float((one & other).sum()) / union if union else 1.0


def seconds_of(retoucher: Retoucher, picture: Image.Image, operation: Operation, runs: int) -> float:
    """Return the median time of an operation."""
    times = []
    for _ in range(2 + runs):
        started = time.perf_counter()
        retoucher(picture, operation)
        times.append(time.perf_counter() - started)
    return statistics.median(times[2:])
