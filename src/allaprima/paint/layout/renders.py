"""What completion knows of the renderer: backgrounds that were drawn, and the outline of every kind of thing.

The table lies beside this file, `renders.safetensors`, and is made by `prima scenes layouts` (its metadata says from
which seeds). Backgrounds are noted by clear daylight and without sun, moon and clouds, which
:mod:`allaprima.paint.layout.sky` draws, so that a hill stays where it is while the hour changes.

Arrays: `boxes` (M, 4) float16, `colors` (M, 3) int16, -1 where open, `kinds` and `layers` (M,) uint8, the things of
all backgrounds one after another; `ends` (N,) int32, where each background's end; `places`, `clouded` (N,) uint8.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, get_args

from numpy.typing import NDArray

from allaprima.core.layout import LAYERS, Box, Layout, Thing
from allaprima.paint.layout.figures import Outline
from allaprima.paint.layout.spots import PERSON
from allaprima.paint.layout.vocabulary import Place

PLACES: Final[tuple[Place, ...]] = get_args(Place)
TABLE: Final = Path(__file__).with_name("renders.safetensors")


@dataclass(frozen=True, kw_only=True)
class Background:
    """What one rendered place is made of, from back to front."""

    things: Layout
    clouded: bool
    """Whether clouds may hang in its sky."""

    @cached_property
    def horizon(self) -> float | None:
        """The lower edge of the sky; None where there is none."""
        return next((thing.box.bottom for thing in self.things if thing.kind == "sky"), None)


@dataclass(frozen=True, kw_only=True)
class Renders:
    """The table in memory."""

    backgrounds: Mapping[Place, tuple[Background, ...]]
    outlines: Mapping[str, Outline]
    """By :func:`outline_name`."""

    @cached_property
    def hairs(self) -> tuple[str, ...]:
        """Every hair that a person may have."""
        return tuple(name.split("|")[2] for name in self.outlines if name.startswith(f"{PERSON}||"))

    def outline(self, kind: str, accessory: str | None = None, hair: str | None = None) -> Outline | None:
        """Return the outline of a kind, undressed where it wears no such thing; None where the kind is not known."""
        return self.outlines.get(outline_name(kind, accessory, hair)) or self.outlines.get(
            outline_name(kind, None, hair)
        )


def outline_name(kind: str, accessory: str | None, hair: str | None) -> str:
    """Return the name of an outline in the table."""
    return "|".join((kind, accessory or "", hair or ""))


@cache
def shipped_renders() -> Renders:
    """Return the table that ships, read once (some ten milliseconds)."""
    return read_renders(TABLE)


def read_renders(file: Path) -> Renders:
    """Return the table of a file of :func:`pack_renders`' bytes."""
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as opened:
        about = opened.metadata()
        rows = {name: opened.get_tensor(name).tolist() for name in opened.keys()}  # noqa: SIM118
    names = json.loads(about["kinds"])
    things = [
        Thing(
            kind=names[kind],
            box=Box(*box),
            layer=LAYERS[layer],
            color=tuple(color) if color[0] >= 0 else None,
        )
        for kind, box, layer, color in zip(
            rows["kinds"], rows["boxes"], rows["layers"], rows["colors"], strict=True
        )
    ]
    backgrounds: dict[Place, list[Background]] = {place: [] for place in PLACES}
    start = 0
    for end, place, clouded in zip(rows["ends"], rows["places"], rows["clouded"], strict=True):
        backgrounds[PLACES[place]].append(Background(things=tuple(things[start:end]), clouded=bool(clouded)))
        start = end
    outlines = {name: _outline(entry) for name, entry in json.loads(about["outlines"]).items()}
    return Renders(
        backgrounds={place: tuple(found) for place, found in backgrounds.items()}, outlines=outlines
    )


def _outline(entry: dict[str, Any]) -> Outline:
    parts = {part: Box(*entry[part]) for part in ("worn", "face") if part in entry}
    return Outline(width=entry["size"][0], height=entry["size"][1], **parts)


def pack_renders(renders: Renders, recipe: str) -> bytes:
    """Return a table as the bytes of a file; `recipe` says how it was made."""
    import numpy as np
    from safetensors.numpy import save

    drawn = [(PLACES.index(place), found) for place, every in renders.backgrounds.items() for found in every]
    things = [thing for _, found in drawn for thing in found.things]
    kinds = sorted({thing.kind for thing in things})
    outlines = {
        name: {"size": [outline.width, outline.height]}
        | {part: [round(edge, 4) for edge in box] for part, box in _parts(outline).items()}
        for name, outline in renders.outlines.items()
    }
    arrays: dict[str, NDArray[Any]] = {
        "boxes": np.array([thing.box for thing in things], np.float16),
        "colors": np.array([thing.color or (-1, -1, -1) for thing in things], np.int16),
        "kinds": np.array([kinds.index(thing.kind) for thing in things], np.uint8),
        "layers": np.array([LAYERS.index(thing.layer) for thing in things], np.uint8),
        "ends": np.cumsum([len(found.things) for _, found in drawn], dtype=np.int32),
        "places": np.array([place for place, _ in drawn], np.uint8),
        "clouded": np.array([found.clouded for _, found in drawn], np.uint8),
    }
    about = {"recipe": recipe, "kinds": json.dumps(kinds), "outlines": json.dumps(outlines)}
    return save(arrays, about)


def _parts(outline: Outline) -> dict[str, Box]:
    named = {"worn": outline.worn, "face": outline.face}
    return {part: box for part, box in named.items() if box is not None}
