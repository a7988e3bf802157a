"""Layouts as a table, with a code for each thing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from allaprima.core.layout import LAYERS, Layout
from allaprima.paint.bases.vignette.layout import ABSENT, KIND_WIDTH, LayoutTable


def tabulate(layouts: Sequence[Layout], kinds: Sequence[Tensor], *, whole: bool = False) -> LayoutTable:
    """Return the table of B layouts.

    Args:
        kinds: the codes (T, K) of each layout's things.
        whole: whether nothing stands in the pictures but what is in the layouts.
    """
    most = max(1, *map(len, layouts))
    table = LayoutTable(
        layers=torch.full((len(layouts), most), ABSENT),
        numbers=torch.zeros(len(layouts), most),
        boxes=torch.zeros(len(layouts), most, 4),
        colors=torch.full((len(layouts), most, 3), -1.0),
        kinds=torch.zeros(len(layouts), most, KIND_WIDTH),
        whole=torch.full((len(layouts), len(LAYERS)), float(whole)),
    )
    for row, (layout, codes) in enumerate(zip(layouts, kinds, strict=True)):
        table.kinds[row, : len(layout)] = codes
        for place, thing in enumerate(layout):
            table.layers[row, place] = LAYERS.index(thing.layer)
            table.numbers[row, place] = thing.number
            table.boxes[row, place] = torch.tensor(thing.box)
            if thing.color is not None:
                table.colors[row, place] = torch.tensor(thing.color) / 255.0
    return table
