"""Scenes in all four styles on disk, with their mattes: what the cut-out and the restyling learn from.

A store is a folder of one memory-mapped array, `pictures.npy` (N, 4, 256, 256, 4) uint8, and `store.json`. Row i
holds the scene of seed `first_seed + i`, once in each style of `STYLES`. The fourth channel is the matte: how much of
a pixel the subjects cover, all of them together with what they wear. `hands.npy` (M, 256, 256, 3) holds the first M
scenes as other hands would paint them (:mod:`allaprima.lab.retouch.style_pictures`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from allaprima.core.errors import AssetError
from allaprima.core.user_paths import default_cache_dir
from allaprima.lab.retouch.style_pictures import paint_by_rules
from allaprima.lab.scenes.framing import draw_framed
from allaprima.lab.scenes.mattes import render_with_matte
from allaprima.lab.scenes.spec import Style
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.lab.training.parts import in_parts

SIDE: Final = 256
STYLES: Final[tuple[Style, ...]] = get_args(Style)
TRAIN_SEED: Final = 4_000_000_000
"""The first scene that retouching learns from; nothing else is trained or tested on those after it."""


@dataclass(frozen=True, kw_only=True)
class StyledConfig:
    """Which scenes a store holds."""

    count: int
    first_seed: int = TRAIN_SEED
    hands: int = 1200
    """How many of them are painted by other hands too; beyond `count` they begin anew, in still other hands."""


@dataclass(frozen=True, kw_only=True)
class StyledScenes:
    """An opened store; see the module docstring."""

    folder: Path
    config: StyledConfig
    pictures: NDArray[np.uint8]
    hands: NDArray[np.uint8]

    @classmethod
    def open(cls, folder: Path) -> StyledScenes:
        """Map a finished store into memory.

        Raises:
            AssetError: there is no finished store in the folder.
        """
        described = folder / "store.json"
        if not described.is_file():
            raise AssetError(
                f"no finished store of styled scenes in {folder}; build one with `prima train styled-scenes {folder}`"
            )
        config = StyledConfig(**json.loads(described.read_text(encoding="utf-8")))
        pictures, hands = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("pictures", "hands"))
        return cls(folder=folder, config=config, pictures=pictures, hands=hands)


def build_styled_scenes(folder: Path, config: StyledConfig, *, processes: int = 1) -> StyledScenes:
    """Render `config.count` scenes into `folder`; a store that is already there is opened instead."""
    described = folder / "store.json"
    if described.is_file() and StyledConfig(**json.loads(described.read_text(encoding="utf-8"))) == config:
        return StyledScenes.open(folder)
    folder.mkdir(parents=True, exist_ok=True)
    described.unlink(missing_ok=True)
    shapes = {"pictures": (config.count, len(STYLES), SIDE, SIDE, 4), "hands": (config.hands, SIDE, SIDE, 3)}
    for name, shape in shapes.items():
        np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape)
    for _ in in_parts(partial(_render, folder, config), range(config.count), processes, "rendering scenes"):
        pass
    for _ in in_parts(partial(_paint, folder), range(config.hands), processes, "painting by rules"):
        pass
    described.write_text(json.dumps(asdict(config)), encoding="utf-8")
    return StyledScenes.open(folder)


def _render(folder: Path, config: StyledConfig, scenes: range) -> None:
    pictures = np.load(folder / "pictures.npy", mmap_mode="r+")
    sprites = SpriteCache(default_cache_dir())
    for index in scenes:
        for column, style in enumerate(STYLES):
            scene = draw_framed(config.first_seed + index, split="any", style=style)
            pictures[index, column] = render_with_matte(scene, sprites, SIDE)


def _paint(folder: Path, numbers: range) -> None:
    pictures, hands = (np.load(folder / f"{name}.npy", mmap_mode="r+") for name in ("pictures", "hands"))
    for number in numbers:
        scene = np.ascontiguousarray(pictures[number % len(pictures), 0, ..., :3])
        hands[number] = paint_by_rules(scene, np.random.default_rng((0, number)))
