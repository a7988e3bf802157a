"""Large pictures to learn upscaling from: scenes drawn at 512 pixels, and as Vignette would paint them at 256.

A store is a folder of two memory-mapped arrays, `sharp.npy` (N, 512, 512, 3) and `painted.npy` (N, 256, 256, 3), both
uint8, and `pictures.json`. What is painted is the halved picture as Vignette's autoencoder gives it back: soft in
the ways in which Vignette's own pictures are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from allaprima.core.errors import AssetError
from allaprima.core.progress import track
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.framing import draw_framed
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Scene, Style
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.lab.training.autoencoder import from_pixels, to_pixels
from allaprima.lab.training.parts import in_parts
from allaprima.paint.bases.vignette.autoencoder import Autoencoder

SIDE = 512
STYLES: tuple[Style, ...] = ("fluent", "fluent", "fluent", "flat")
"""The styles in turn; Vignette paints the first."""


@dataclass(frozen=True, kw_only=True)
class LargePictures:
    """An opened store; see the module docstring."""

    sharp: NDArray[np.uint8]
    painted: NDArray[np.uint8]

    @classmethod
    def open(cls, folder: Path) -> LargePictures:
        """Map a finished store into memory.

        Raises:
            AssetError: there is no finished store in the folder.
        """
        if not (folder / "pictures.json").is_file():
            raise AssetError(f"no large pictures in {folder}; make them with `prima train pictures {folder}`")
        sharp, painted = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("sharp", "painted"))
        return cls(sharp=sharp, painted=painted)


@dataclass(frozen=True, kw_only=True)
class PicturesConfig:
    """Which scenes a store holds: those of `count` seeds from the first on."""

    count: int
    first_seed: int = 0


def training_scene(seed: int) -> Scene:
    """Return the scene of a seed: styles in turn, and every other one framed by chance."""
    draw = draw_framed if seed % 2 else draw_scene
    return draw(seed, style=STYLES[seed // 2 % len(STYLES)])


def build_pictures(
    folder: Path, config: PicturesConfig, autoencoder: Autoencoder, sprites: Path, *, processes: int = 1
) -> LargePictures:
    """Draw the scenes with the sprites of a folder and let the autoencoder paint them; see the module."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pictures.json").unlink(missing_ok=True)
    sharp, painted = (
        np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=(config.count, side, side, 3)
        )
        for name, side in (("sharp", SIDE), ("painted", SIDE // 2))
    )
    work = partial(_draw, folder, config.first_seed, sprites)
    for _ in in_parts(work, range(config.count), processes, "drawing scenes"):
        pass
    for index in track(range(config.count), total=config.count, label="painting them", unit="pictures"):
        painted[index] = paint_again(autoencoder, sharp[index])
    sharp.flush()
    painted.flush()
    (folder / "pictures.json").write_text(json.dumps(asdict(config)))
    return LargePictures.open(folder)


def _draw(folder: Path, first_seed: int, sprites: Path, scenes: Iterable[int]) -> None:
    sharp = np.load(folder / "sharp.npy", mmap_mode="r+")
    cache = SpriteCache(sprites)
    for index in scenes:
        sharp[index] = render_scene(training_scene(first_seed + index), cache, SIDE).image


@torch.no_grad()
def paint_again(autoencoder: Autoencoder, sharp: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the halved picture (H/2, W/2, 3) as the autoencoder gives it back."""
    height, width = sharp.shape[:2]
    halved = Image.fromarray(sharp).resize((width // 2, height // 2), Image.Resampling.BOX)
    pixels = to_pixels(np.asarray(halved)[None], autoencoder.device).to(next(autoencoder.parameters()).dtype)
    decoded: Tensor = autoencoder.decode(autoencoder.encode(pixels))
    painted: NDArray[np.uint8] = from_pixels(decoded.float().cpu())[0]
    return painted
