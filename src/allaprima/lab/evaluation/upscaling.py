"""How well and how fast pictures are enlarged: unseen scenes, halved and enlarged again; time, memory, seams.

Peak memory is that of a process of its own, `python -m allaprima.lab.evaluation.upscaling SIDE NAME`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from allaprima.core.errors import PaintError
from allaprima.core.progress import OnProgress
from allaprima.core.retouch import SHIPPED_UPSCALER, Upscale
from allaprima.core.system_limits import peak_resident_bytes
from allaprima.lab.evaluation.measures import Measure
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.retouch.retoucher import Retoucher
from allaprima.paint.retouch.tiles import TileSize, sum_tiles
from allaprima.paint.retouch.upscale import get_upscaler
from allaprima.paint.retouch.work import finish

TEST_SEED = 2_000_000_000
"""Of the first scene; trainings stay below."""
SIDE = 512
LARGE_SIDE = 2048
"""Side of the picture whose enlarging is to stay within memory; it becomes 4096."""


@dataclass(frozen=True, kw_only=True)
class UpscalingSettings:
    """What is measured; published figures are those of the defaults."""

    scenes: int = 100
    runs: int = 15
    """Of the timing, after two that warm up."""
    upscaler: str = SHIPPED_UPSCALER


def measure_upscaling(
    retoucher: Retoucher,
    sprites: SpriteCache,
    settings: UpscalingSettings,
    on_progress: OnProgress = lambda _what, _done, _total: None,
) -> list[Measure]:
    """Return the figures of an upscaler.

    Raises:
        AssetError: the large sprites are not there.
        PaintError: the process apart ended badly.
    """
    upscale = Upscale(scale=2, upscaler=settings.upscaler)
    gains = []
    for index, sharp in enumerate(unseen_pictures(settings.scenes, sprites), 1):
        gains.append(gain_over_bicubic(retoucher, sharp, upscale))
        on_progress("enlarging scenes", index, settings.scenes)
    seconds = seconds_of(retoucher, upscale, settings.runs)
    seam = seam_of(retoucher, upscale)
    peak = peak_gib(upscale, retoucher.workshop.models_dirs)
    return [
        Measure(
            name="upscale 2x of unseen scenes: PSNR over bicubic", value=statistics.mean(gains), unit="dB",
            better="more", must=2.0, aim=4.0,
        ),
        Measure(
            name="upscale 2x of a 256 picture", value=seconds, unit="s", better="less", must=0.5, aim=0.1
        ),
        Measure(
            name=f"upscale in tiles to {2 * LARGE_SIDE}x{2 * LARGE_SIDE}: peak memory", value=peak, unit="GiB",
            better="less", must=2.0,
        ),
        Measure(
            name="upscale in tiles: seams on a gradient", value=seam, unit="/255", better="less", must=1.0
        ),
    ]  # fmt: skip


def unseen_pictures(count: int, sprites: SpriteCache) -> Iterator[NDArray[np.uint8]]:
    """Yield scenes (512, 512, 3) on which nothing was trained."""
    for index in range(count):
        yield render_scene(draw_scene(TEST_SEED + index, split="any"), sprites, SIDE).image


def gain_over_bicubic(retoucher: Retoucher, sharp: NDArray[np.uint8], upscale: Upscale) -> float:
    """Return by how many dB a picture, halved and enlarged again, is nearer to itself than by bicubic scaling."""
    original = Image.fromarray(sharp)
    halved = original.resize((original.width // 2, original.height // 2), Image.Resampling.BICUBIC)
    plain = halved.resize(original.size, Image.Resampling.BICUBIC)
    return psnr(retoucher(halved, upscale).image, original) - psnr(plain, original)


def psnr(picture: Image.Image, original: Image.Image) -> float:
    """Return the peak signal to noise ratio of two RGB pictures in dB, at most 99."""
    error = np.square(np.asarray(picture, np.float64) - np.asarray(original, np.float64)).mean()
    return 99.0 if error == 0 else min(99.0, float(10 * np.log10(255.0**2 / error)))


def seconds_of(retoucher: Retoucher, upscale: Upscale, runs: int) -> float:
    """Return the median time of enlarging a picture of 256 x 256 pixels."""
    picture = Image.fromarray(gradient(256))
    times = []
    for _ in range(2 + runs):
        started = time.perf_counter()
        retoucher(picture, upscale)
        times.append(time.perf_counter() - started)
    return statistics.median(times[2:])


@torch.inference_mode()
def seam_of(retoucher: Retoucher, upscale: Upscale, side: int = 512, tile: int = 128) -> float:
    """Return by how much a gradient in tiles differs from the same in one piece, at most, in steps of 1/255."""
    upscaler, device = get_upscaler(upscale.upscaler, retoucher.workshop), retoucher.workshop.device
    pixels, cut = gradient(side), upscaler.tiles
    sizes = (TileSize(side=edge, reach=cut.reach, fade=cut.fade) for edge in (tile, 2 * side))
    tiled, whole = (
        finish(sum_tiles(pixels, upscaler.enlarge, upscaler.scale, size, device)) for size in sizes
    )
    return 255.0 * float((tiled - whole).abs().max())


def gradient(side: int) -> NDArray[np.uint8]:
    """Return a picture (side, side, 3) that brightens across, down and along the diagonal."""
    axis = np.linspace(0, 255, side)
    across = np.broadcast_to(axis, (side, side))
    channels = (across, across.T, (across + across.T) / 2)
    return np.stack(channels, axis=2).round().astype(np.uint8)


def peak_gib(upscale: Upscale, models_dirs: Sequence[Path] = (), side: int = LARGE_SIDE) -> float:
    """Return the peak memory of a process that does nothing but enlarge one picture of side x side pixels.

    Raises:
        PaintError: it ended badly.
    """
    words = [sys.executable, "-m", __name__, str(side), upscale.upscaler, *map(str, models_dirs)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PaintError(f"enlarging in a process apart failed: {done.stderr.strip()[-300:]}")
    return float(json.loads(done.stdout)["peak_gib"])


def main(side: int, upscaler: str, *models_dirs: str) -> None:
    """Enlarge one picture and print the memory that this process took at most."""
    from allaprima.paint.retouch.work import Workshop

    retoucher = Retoucher(Workshop(models_dirs=tuple(map(Path, models_dirs))))
    retoucher(Image.fromarray(gradient(side)), Upscale(scale=2, upscaler=upscaler)).encode("png")
    print(json.dumps({"peak_gib": peak_resident_bytes() / 2**30}))


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
