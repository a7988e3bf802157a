"""Rendered scenes on disk, so that a training reads pictures instead of painting them.

A store is a folder of two memory-mapped arrays, `images.npy` (N, 256, 256, 3) uint8 and `masks.npy`
(N, 16, 16) uint8 (the share of each latent cell that subjects cover), and `store.json`. Scene i of a store is
`draw_scene(first_seed + i)`, so no scene is written down: captions and ground truth follow from the seed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from allaprima.core.errors import AssetError
from allaprima.lab.progress import track
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.layout import LATTICE
from allaprima.lab.scenes.render import render_many
from allaprima.lab.scenes.spec import Scene, Style
from allaprima.lab.scenes.sprites import SpriteCache

SIDE = 256


@dataclass(frozen=True, kw_only=True)
class StoreConfig:
    """Which scenes a store holds."""

    count: int
    first_seed: int = 0
    style: Style = "fluent"


@dataclass(frozen=True, kw_only=True)
class SceneStore:
    """An opened store; see the module docstring."""

    config: StoreConfig
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]

    @classmethod
    def open(cls, folder: Path) -> SceneStore:
        """Map a finished store into memory.

        Raises:
            AssetError: there is no finished store in the folder.
        """
        described = folder / "store.json"
        if not described.is_file():
            raise AssetError(
                f"no finished scene store in {folder}; build one with `prima scenes store {folder}`"
            )
        config = StoreConfig(**json.loads(described.read_text()))
        return cls(
            config=config,
            images=np.load(folder / "images.npy", mmap_mode="r"),
            masks=np.load(folder / "masks.npy", mmap_mode="r"),
        )

    def scene(self, index: int) -> Scene:
        """The description of picture `index`."""
        return draw_scene(self.config.first_seed + index, style=self.config.style)


def build_store(folder: Path, config: StoreConfig, *, processes: int = 1) -> SceneStore:
    """Render `config.count` scenes into `folder`; a store that is already there is opened instead."""
    described = folder / "store.json"
    if described.is_file() and StoreConfig(**json.loads(described.read_text())) == config:
        return SceneStore.open(folder)
    folder.mkdir(parents=True, exist_ok=True)
    described.unlink(missing_ok=True)
    images = _new_array(folder / "images.npy", (config.count, SIDE, SIDE, 3))
    masks = _new_array(folder / "masks.npy", (config.count, LATTICE, LATTICE))
    seeds = range(config.first_seed, config.first_seed + config.count)
    scenes = (draw_scene(seed, style=config.style) for seed in seeds)
    rendered = render_many(scenes, SpriteCache(), processes=processes, size=SIDE)
    for index, picture in enumerate(track(rendered, total=config.count, label="rendering scenes")):
        images[index] = picture.image
        masks[index] = cell_coverage(picture.masks)
    del images, masks  # closes and so flushes the maps
    described.write_text(json.dumps(asdict(config)))
    return SceneStore.open(folder)


def cell_coverage(masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce subject masks (n, H, W) 0..255 to the covered share of each latent cell (16, 16) 0..255."""
    if not len(masks):
        return np.zeros((LATTICE, LATTICE), np.uint8)
    covered = masks.max(0)
    cell = covered.shape[0] // LATTICE
    cells = covered.reshape(LATTICE, cell, LATTICE, cell).mean((1, 3))
    return np.asarray(cells.round(), dtype=np.uint8)


def _new_array(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    return array
