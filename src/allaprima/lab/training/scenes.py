"""Rendered scenes on disk, so that a training reads pictures instead of painting them.

A store is a folder of two memory-mapped arrays, `images.npy` (N, 256, 256, 3) uint8 and `masks.npy`
(N, 16, 16) uint8 (the share of each latent cell that subjects cover), and `store.json`. Scene i of a store is
`draw_scene(first_seed + i)`, or `draw_framed` of that seed, so no scene is written down: captions and ground truth
follow from the seed. Only the renderer knows what stands where, so layouts are written down too
(:mod:`allaprima.lab.training.layouts`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from allaprima.core.errors import AssetError
from allaprima.core.layout import Layout
from allaprima.core.user_paths import default_cache_dir
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.framing import draw_framed
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Scene, Style
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.lab.training.layouts import write_layouts
from allaprima.lab.training.parts import in_parts
from allaprima.paint.layout.spots import LATTICE
from allaprima.paint.layout.vocabulary import Framing

SIDE = 256


@dataclass(frozen=True, kw_only=True)
class StoreConfig:
    """Which scenes a store holds."""

    count: int
    first_seed: int = 0
    style: Style = "fluent"
    framed: bool = False
    """Whether portraits, and things at any height and size, are among them."""

    def scene(self, index: int) -> Scene:
        """Return the description of picture `index`."""
        draw = draw_framed if self.framed else draw_scene
        return draw(self.first_seed + index, style=self.style)


@dataclass(frozen=True, kw_only=True)
class SceneStore:
    """An opened store; see the module docstring."""

    folder: Path
    config: StoreConfig
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]

    def __reduce__(self) -> tuple[Callable[[Path], SceneStore], tuple[Path]]:
        """Travel to another process as the folder's name, not as its pictures."""
        return SceneStore.open, (self.folder,)

    @classmethod
    def open(cls, folder: Path) -> SceneStore:
        """Map a finished store into memory.

        Raises:
            AssetError: there is no finished store in the folder.
        """
        described = folder / "store.json"
        if not described.is_file():
            raise AssetError(
                f"no finished scene store in {folder}; build one with `prima train scenes {folder}`"
            )
        config = StoreConfig(**json.loads(described.read_text()))
        return cls(
            folder=folder,
            config=config,
            images=np.load(folder / "images.npy", mmap_mode="r"),
            masks=np.load(folder / "masks.npy", mmap_mode="r"),
        )

    def scene(self, index: int) -> Scene:
        """Return the description of picture `index`."""
        return self.config.scene(index)


def build_store(folder: Path, config: StoreConfig, *, processes: int = 1) -> SceneStore:
    """Render `config.count` scenes into `folder`; a store that is already there is opened instead."""
    described = folder / "store.json"
    if described.is_file() and StoreConfig(**json.loads(described.read_text())) == config:
        return SceneStore.open(folder)
    folder.mkdir(parents=True, exist_ok=True)
    described.unlink(missing_ok=True)
    for name, shape in (("images", (SIDE, SIDE, 3)), ("masks", (LATTICE, LATTICE))):
        np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=(config.count, *shape)
        )
    parts = in_parts(partial(_render, folder, config), range(config.count), processes, "rendering scenes")
    write_layouts(folder, chain.from_iterable(parts))
    described.write_text(json.dumps(asdict(config)))
    return SceneStore.open(folder)


def _render(folder: Path, config: StoreConfig, scenes: range) -> list[tuple[Framing, Layout]]:
    """Render a range of a store's scenes into its arrays; return the framing and layout of each."""
    images, masks = (np.load(folder / f"{name}.npy", mmap_mode="r+") for name in ("images", "masks"))
    sprites = _sprites(default_cache_dir())
    layouts = []
    for index in scenes:
        scene = config.scene(index)
        rendered = render_scene(scene, sprites, SIDE)
        layouts.append((scene.framing, rendered.things))
        images[index] = rendered.image
        masks[index] = cell_coverage(rendered.masks)
    return layouts


@lru_cache(maxsize=1)
def _sprites(folder: Path) -> SpriteCache:
    """Return the sprites, and what was made of them for scenes before."""
    return SpriteCache(folder)


def cell_coverage(masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce subject masks (n, H, W) 0..255 to the covered share of each latent cell (16, 16) 0..255."""
    if not len(masks):
        return np.zeros((LATTICE, LATTICE), np.uint8)
    covered = masks.max(0)
    cell = covered.shape[0] // LATTICE
    cells = covered.reshape(LATTICE, cell, LATTICE, cell).mean((1, 3))
    return np.asarray(cells.round(), dtype=np.uint8)
