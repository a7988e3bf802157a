"""The layouts of stored scenes, beside their pictures or their latents.

A folder has `things.npy` (M, 10) float32, the things of all scenes one after another: kind, layer and number; left,
top, right and bottom; red, green and blue by daylight, -1 where left open. `thing_spans.npy` (N, 2) int64 holds each
scene's first thing and how many it has, `framings.npy` (N,) int8 its framing, `kinds.json` the names of the kinds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from allaprima.core.errors import AssetError
from allaprima.core.layout import LAYERS, Box, Layout, Thing
from allaprima.lab.arrays import open_array
from allaprima.lab.scenes.spec import Framing

FRAMINGS: tuple[Framing, ...] = get_args(Framing)
KIND, LAYER, NUMBER = 0, 1, 2
BOX, COLOR = slice(3, 7), slice(7, 10)
"""Columns of a thing."""
COLUMNS = 10
_OPEN = (-1.0, -1.0, -1.0)


@dataclass(frozen=True, kw_only=True)
class LayoutStore:
    """The opened layouts of a folder; see the module docstring."""

    things: NDArray[np.float32]
    spans: NDArray[np.int64]
    framings: NDArray[np.int8]
    """Indices into `FRAMINGS`."""
    kinds: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path) -> LayoutStore:
        """Map a folder's layouts into memory.

        Raises:
            AssetError: they are missing or damaged.
        """
        kinds = folder / "kinds.json"
        if not kinds.is_file():
            raise AssetError(
                f"{folder} does not say what stands where; expected a folder made since layouts are written down, "
                "build it anew"
            )
        things, spans = open_array(folder / "things.npy", 2), open_array(folder / "thing_spans.npy", 2)
        framings = open_array(folder / "framings.npy", 1)
        complete = len(framings) == len(spans) and spans.sum(1).max(initial=0) <= len(things)
        if things.shape[1] != COLUMNS or not complete:
            raise AssetError(
                f"{folder} has things {things.shape} for scenes {spans.shape}, {framings.shape}; expected {COLUMNS} "
                "columns and every scene's things; build it anew"
            )
        return cls(
            things=things,
            spans=spans,
            framings=framings,
            kinds=tuple(json.loads(kinds.read_text(encoding="utf-8"))),
        )

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.spans)

    def layout(self, index: int) -> Layout:
        """Return the layout of one scene."""
        start, count = self.spans[index]
        return tuple(self._thing(row) for row in self.things[start : start + count])

    def _thing(self, row: NDArray[np.float32]) -> Thing:
        red, green, blue = (int(part) for part in row[COLOR])
        return Thing(
            kind=self.kinds[int(row[KIND])],
            box=Box(*map(float, row[BOX])),
            layer=LAYERS[int(row[LAYER])],
            number=int(row[NUMBER]),
            color=None if red < 0 else (red, green, blue),
        )


def write_layouts(folder: Path, layouts: Iterable[tuple[Framing, Layout]]) -> None:
    """Write the framings and layouts of scenes, in their order."""
    framings: list[int] = []
    kinds: dict[str, int] = {}
    rows: list[tuple[float, ...]] = []
    spans: list[tuple[int, int]] = []
    for framing, layout in layouts:
        framings.append(FRAMINGS.index(framing))
        spans.append((len(rows), len(layout)))
        for thing in layout:
            kind = kinds.setdefault(thing.kind, len(kinds))
            color = thing.color or _OPEN
            rows.append((kind, LAYERS.index(thing.layer), thing.number, *thing.box, *color))
    np.save(folder / "things.npy", np.array(rows, np.float32).reshape(-1, COLUMNS))
    np.save(folder / "thing_spans.npy", np.array(spans, np.int64).reshape(-1, 2))
    np.save(folder / "framings.npy", np.array(framings, np.int8))
    (folder / "kinds.json").write_text(json.dumps(list(kinds)), encoding="utf-8")


def copy_layouts(source: Path, scenes: range, folder: Path) -> None:
    """Write the layouts of `scenes` of one folder into another."""
    store = LayoutStore.open(source)
    framings = (FRAMINGS[store.framings[index]] for index in scenes)
    write_layouts(folder, zip(framings, map(store.layout, scenes), strict=True))
