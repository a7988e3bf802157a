"""Three small layouts, as stored and as in training."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from tests.tiny_vignette import WIDTH, tiny_text_encoder

from allaprima.core.layout import LAYERS, Box, Layout, Thing
from allaprima.lab.training.layouts import BOX, COLOR, KIND, LAYER, NUMBER, LayoutStore
from allaprima.lab.training.resident_layouts import ResidentLayouts
from allaprima.paint.bases.vignette.layout import KindCode
from allaprima.paint.layout.vocabulary import Framing

CAT = Thing(kind="cat", box=Box(0.25, 0.25, 0.5, 0.75), number=1)
HAT = Thing(kind="crown", box=Box(0.25, 0.125, 0.5, 0.25), layer="part", number=1)
HOUSE = Thing(kind="house", box=Box(0.0, 0.0, 0.5, 0.5), layer="behind", color=(255, 0, 51))
SKY = Thing(kind="sky", box=Box(0.0, 0.0, 1.0, 0.5), layer="ground")
LAYOUTS: list[Layout] = [(SKY, HOUSE, CAT, HAT), (), (SKY, CAT)]
FRAMED: list[tuple[Framing, Layout]] = list(zip(("scene", "portrait", "anywhere"), LAYOUTS, strict=True))


def resident(*folders: Path) -> ResidentLayouts:
    """Return the folders' layouts with the code of a small text encoder."""
    return ResidentLayouts(folders, tiny_text_encoder(), KindCode(WIDTH), torch.device("cpu"))


def layout_of(store: LayoutStore, index: int) -> Layout:
    """Return the stored layout of one scene."""
    start, count = store.spans[index]
    return tuple(
        Thing(
            kind=store.kinds[int(row[KIND])],
            box=Box(*map(float, row[BOX])),
            layer=LAYERS[int(row[LAYER])],
            number=int(row[NUMBER]),
            color=None if row[COLOR][0] < 0 else cast(tuple[int, int, int], tuple(map(int, row[COLOR]))),
        )
        for row in store.things[start : start + count]
    )
