"""The layouts of stored scenes, beside their pictures or their latents.

A folder has `things.npy` (M, 10) float32, the things of all scenes one after another: kind, layer and number; left,
top, right and bottom; red, green and blue by daylight, -1 where left open. `thing_spans.npy` (N, 2) int64 holds each
scene's first thing and how many it has, `framings.npy` (N,) int8 its framing, `kinds.json` the names of the kinds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from allaprima.core.errors import AssetError
from allaprima.core.layout import LAYERS, Layout
from allaprima.lab.arrays import open_array
from allaprima.paint.layout.vocabulary import Framing

FRAMINGS: Final[tuple[Framing, ...]] = get_args(Framing)
KIND, LAYER, NUMBER = 0, 1, 2
BOX, COLOR = slice(3, 7), slice(7, 10)
"""Columns of a thing."""
COLUMNS = 10


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
        """Map a folder's layouts into memory; refuse missing and damaged ones."""
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
        names = tuple(json.loads(kinds.read_text(encoding="utf-8")))
        return cls(things=things, spans=spans, framings=framings, kinds=names)

    def save(self, folder: Path) -> None:
        """Write the layouts into a folder."""
        np.save(folder / "things.npy", self.things)
        np.save(folder / "thing_spans.npy", self.spans)
        np.save(folder / "framings.npy", self.framings)
        (folder / "kinds.json").write_text(json.dumps(self.kinds), encoding="utf-8")


def write_layouts(folder: Path, layouts: Iterable[tuple[Framing, Layout]]) -> None:
    """Write the framings and layouts of scenes, in their order."""
    kinds: dict[str, int] = {}
    framings, spans = [], []
    rows: list[tuple[float, ...]] = []
    for framing, layout in layouts:
        framings.append(FRAMINGS.index(framing))
        spans.append((len(rows), len(layout)))
        for thing in layout:
            kind = kinds.setdefault(thing.kind, len(kinds))
            color = thing.color or (-1, -1, -1)
            rows.append((kind, LAYERS.index(thing.layer), thing.number, *thing.box, *color))
    LayoutStore(
        things=np.array(rows, np.float32).reshape(-1, COLUMNS),
        spans=np.array(spans, np.int64).reshape(-1, 2),
        framings=np.array(framings, np.int8),
        kinds=tuple(kinds),
    ).save(folder)


def copy_layouts(source: Path, scenes: range, folder: Path) -> None:
    """Write the layouts of `scenes` of one folder into another."""
    store = LayoutStore.open(source)
    spans, framings = store.spans[scenes], store.framings[scenes]
    first = spans[:1, 0].sum()
    things = store.things[first : first + spans[:, 1].sum()]
    replace(store, things=things, spans=spans - [first, 0], framings=framings).save(folder)
