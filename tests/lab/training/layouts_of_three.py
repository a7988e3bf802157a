"""Three small layouts, as stored and as in training."""

from __future__ import annotations

import torch

from allaprima.core.layout import Box, Layout, Thing
from allaprima.lab.scenes.spec import Framing
from allaprima.lab.training.layouts import LayoutStore
from allaprima.lab.training.resident_layouts import ResidentLayouts, all_kinds
from allaprima.paint.layout.lattice import KIND_WIDTH

CAT = Thing(kind="cat", box=Box(0.25, 0.25, 0.5, 0.75), number=1)
HAT = Thing(kind="crown", box=Box(0.25, 0.125, 0.5, 0.25), layer="part", number=1)
HOUSE = Thing(kind="house", box=Box(0.0, 0.0, 0.5, 0.5), layer="behind", color=(255, 0, 51))
SKY = Thing(kind="sky", box=Box(0.0, 0.0, 1.0, 0.5), layer="ground")
LAYOUTS: list[Layout] = [(SKY, HOUSE, CAT, HAT), (), (SKY, CAT)]
FRAMED: list[tuple[Framing, Layout]] = list(zip(("scene", "portrait", "anywhere"), LAYOUTS, strict=True))


def resident(*stores: LayoutStore) -> ResidentLayouts:
    """Return the stores' layouts with a random code for each kind."""
    kinds = all_kinds(stores)
    codes = torch.randn(len(kinds), KIND_WIDTH, generator=torch.Generator().manual_seed(0))
    return ResidentLayouts(stores, dict(zip(kinds, codes, strict=True)), torch.device("cpu"))
