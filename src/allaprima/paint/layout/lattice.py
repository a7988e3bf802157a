"""The map of a layout: for each cell of the latent, what stands there.

A denoiser hardly reads boxes in tokens beside the words, but follows a map in the picture's own tokens at once
(docs/decisions/011-a-layout-in-the-pictures-tokens.md). Each of the four layers has channels of its own. In each
cell they describe the thing of that layer that is seen there: how much of the cell it covers, where in its box the
cell lies and how far the box's edges are, its size, its number, its colour and the code of its kind. All are zero
where no thing is. One more channel per layer says that the layer has no things but those of the layout.

Shape letters: B pictures, T things of a picture at most, K numbers of a kind's code, h and w cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from allaprima.core.layout import LAYERS, Layout

KIND_WIDTH: Final = 16
"""K: numbers of a kind's code."""
_PLAIN: Final = 14
"""Channels of a layer without the kind: cover, place 2, edges 4, size 2, number, colour 4."""
CHANNELS: Final = len(LAYERS) * (_PLAIN + KIND_WIDTH + 1)
"""M: channels of the map."""
ABSENT: Final = -1
"""The layer of a row that holds no thing."""
_NEAR: Final = 4.0
"""Cells from an edge beyond which its distance stays the same."""
_MOSTLY: Final = 0.5
"""The share of a cell from which a thing hides those behind it."""


@dataclass(frozen=True, kw_only=True)
class LayoutTable:
    """The things of B pictures, from back to front, in rows of T."""

    layers: Tensor
    """(B, T) int64, an index into `LAYERS` or `ABSENT`."""
    numbers: Tensor
    """(B, T) float32; see :class:`allaprima.core.layout.Thing`."""
    boxes: Tensor
    """(B, T, 4) float32: left, top, right, bottom."""
    colors: Tensor
    """(B, T, 3) float32, 0 to 1; negative where left open."""
    kinds: Tensor
    """(B, T, K) float32, about unit variance; zeros where left open."""
    whole: Tensor
    """(B, 4) float32, 1 where a layer has no other things."""


def tabulate(layouts: Sequence[Layout], kinds: Sequence[Tensor], *, whole: bool = False) -> LayoutTable:
    """Return the table of B layouts.

    Args:
        kinds: the codes (T, K) of each layout's things.
        whole: whether nothing stands in the pictures but what is in the layouts.
    """
    most = max((len(layout) for layout in layouts), default=0)
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


def draw_map(table: LayoutTable, height: int, width: int) -> Tensor:
    """Return the map (B, CHANNELS, height, width) of a table on a lattice of cells."""
    if not table.layers.shape[1]:
        table = _with_a_row(table)
    cover = _cover(table.boxes, height, width)
    parts = [_layer(table, cover, layer) for layer in range(len(LAYERS))]
    return torch.cat(parts, dim=1)


def _cover(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return the share of each cell that each box covers, (B, T, h, w)."""
    across = _overlap(boxes[..., 0], boxes[..., 2], width)
    down = _overlap(boxes[..., 1], boxes[..., 3], height)
    return down[..., :, None] * across[..., None, :]


def _overlap(start: Tensor, end: Tensor, cells: int) -> Tensor:
    """Return the share of each of `cells` (B, T, cells) between `start` and `end` (B, T)."""
    edges = torch.arange(cells, device=start.device)
    first, last = start[..., None] * cells, end[..., None] * cells
    return (torch.minimum(last, edges + 1) - torch.maximum(first, edges)).clamp(min=0.0)


def _layer(table: LayoutTable, cover: Tensor, layer: int) -> Tensor:
    """Return one layer's channels, (B, CHANNELS / 4, h, w)."""
    batch, things, height, width = cover.shape
    cover = cover * (table.layers == layer)[:, :, None, None]
    order = torch.arange(things, device=cover.device)[:, None, None] + 2
    seen = torch.where(cover >= _MOSTLY, order, cover).argmax(1).flatten(1)
    covered = cover.flatten(2).gather(1, seen[:, None])[:, 0]

    def of_seen(values: Tensor) -> Tensor:
        """Return what `values` (B, T, n) hold of the thing seen in each cell, (B, h w, n)."""
        return values.gather(1, seen[:, :, None].expand(-1, -1, values.shape[2]))

    boxes = of_seen(table.boxes)
    start, end = boxes[..., :2], boxes[..., 2:]
    size = (end - start).clamp(min=1e-3)
    cells = torch.tensor([width, height], device=cover.device, dtype=torch.float32)
    middle = _middles(height, width, cover.device)
    place = ((middle - start) / size * 2.0 - 1.0).clamp(-1.5, 1.5)
    edges = torch.cat([middle - start, end - middle], dim=2) * torch.cat([cells, cells])
    colors = of_seen(table.colors)
    is_colored = (colors[..., :1] >= 0).float()
    features = torch.cat(
        [
            covered[:, :, None],
            place,
            edges.clamp(-1.0, _NEAR) / _NEAR,
            size,
            (of_seen(table.numbers[:, :, None]) + 1.0) / len(LAYERS),
            is_colored,
            (colors * 2.0 - 1.0) * is_colored,
            of_seen(table.kinds),
        ],
        dim=2,
    )
    features = features * (covered > 0)[:, :, None]
    whole = table.whole[:, None, layer, None].expand(batch, height * width, 1)
    return torch.cat([features, whole], dim=2).transpose(1, 2).reshape(batch, -1, height, width)


def _middles(height: int, width: int, device: torch.device) -> Tensor:
    """Return the middles of cells in fractions of the picture, (h w, 2), across and down."""
    down, across = ((torch.arange(cells, device=device) + 0.5) / cells for cells in (height, width))
    return torch.stack([across.repeat(height), down.repeat_interleave(width)], dim=1)


def _with_a_row(table: LayoutTable) -> LayoutTable:
    """Return a table without things with one absent thing per picture, so that there is something to look up."""
    return LayoutTable(
        layers=functional.pad(table.layers, (0, 1), value=ABSENT),
        numbers=functional.pad(table.numbers, (0, 1)),
        boxes=functional.pad(table.boxes, (0, 0, 0, 1)),
        colors=functional.pad(table.colors, (0, 0, 0, 1), value=-1.0),
        kinds=functional.pad(table.kinds, (0, 0, 0, 1)),
        whole=table.whole,
    )
