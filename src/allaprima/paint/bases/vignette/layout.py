"""The map of a layout as Vignette's denoiser reads it: for each cell of the latent, what stands there.

A denoiser hardly reads boxes in tokens beside the words, but follows a map in the picture's own tokens at once
(docs/decisions/011-a-layout-in-the-pictures-tokens.md). Each of the four layers has channels of its own. In each
cell they describe the thing of that layer that is seen there: how much of the cell it covers, where in its box the
cell lies and how far the box's edges are, its size, its number, its colour and the code of its kind. All are zero
where no thing is. One more channel per layer says that the layer has no things but those of the layout.

A kind's code comes from the text encoder's states of its name, so any word in any language that the encoder knows can
name a box, and words of like meaning have like codes.

Shape letters: B pictures, T things of a picture at most, K numbers of a kind's code, h and w cells, D text width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from allaprima.core.layout import LAYERS
from allaprima.paint.bases.vignette.text import TextEncoder

KIND_WIDTH: Final = 16
"""K: numbers of a kind's code."""
CHANNELS: Final = len(LAYERS) * (14 + KIND_WIDTH + 1)
"""M: channels of the map. Each layer has cover, place 2, edges 4, size 2, number, colour 4; kind; whole."""
ABSENT: Final = -1
"""The layer of a row that holds no thing."""
GAIN: Final = 8.0
"""What all numbers of a map are multiplied by. The weights that read them begin at zero, and an update of Adam moves
a weight by the rate at most: within 500 updates they had come to a twentieth of those that read the picture."""
_NEAR: Final = 4.0
"""Cells from an edge beyond which its distance stays the same."""
_MOSTLY: Final = 0.5
"""The share of a cell from which a thing hides those behind it."""


class KindCode(nn.Module):
    """The directions in which the names of a training's things differ most, measured once (PCA, whitened)."""

    mean: Tensor
    directions: Tensor

    def __init__(self, text_width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(text_width))
        self.register_buffer("directions", torch.zeros(KIND_WIDTH, text_width))

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the codes (n, K) of names' mean states (n, D)."""
        return (pooled.float() - self.mean.float()) @ self.directions.float().T

    @torch.no_grad()
    def measure(self, pooled: Tensor) -> None:
        """Set the directions from names' states (n, D), for unit variance; few names leave the last ones zero."""
        self.mean.copy_(pooled.mean(0))
        _, deviations, directions = torch.linalg.svd((pooled - self.mean).double(), full_matrices=False)
        known = min(KIND_WIDTH, int((deviations > 1e-6 * deviations[0]).sum()))
        scale = (len(pooled) ** 0.5 / deviations[:known])[:, None]
        self.directions.zero_()
        self.directions[:known] = (directions[:known] * scale).to(self.directions)


def pooled_states(names: Sequence[str], text: TextEncoder) -> Tensor:
    """Return the mean state of each name, (n, D), without the marks of beginning and end."""
    encoded = text.encode(names)
    inner = encoded.mask.clone()
    inner[:, 0] = False
    inner[torch.arange(len(inner)), encoded.mask.sum(1) - 1] = False
    return (encoded.states.float() * inner[:, :, None]).sum(1) / inner.sum(1).clamp(min=1)[:, None]


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


def draw_map(table: LayoutTable, height: int, width: int) -> Tensor:
    """Return the map (B, M, height, width) of a table, whose T is at least 1, on a lattice of cells."""
    across = _overlap(table.boxes[..., 0], table.boxes[..., 2], width)
    down = _overlap(table.boxes[..., 1], table.boxes[..., 3], height)
    cover = down[..., :, None] * across[..., None, :]
    return GAIN * torch.cat([_layer(table, cover, layer) for layer in range(len(LAYERS))], dim=1)


def _overlap(start: Tensor, end: Tensor, cells: int) -> Tensor:
    """Return the share of each of `cells` (B, T, cells) between `start` and `end` (B, T)."""
    edges = torch.arange(cells, device=start.device)
    first, last = start[..., None] * cells, end[..., None] * cells
    return (torch.minimum(last, edges + 1) - torch.maximum(first, edges)).clamp(min=0.0)


def _layer(table: LayoutTable, cover: Tensor, layer: int) -> Tensor:
    """Return one layer's channels (B, M / 4, h, w), given the share (B, T, h, w) of each cell under each box."""
    batch, things, height, width = cover.shape
    cover = cover * (table.layers == layer)[:, :, None, None]
    order = torch.arange(things, device=cover.device)[:, None, None] + 2
    seen = torch.where(cover >= _MOSTLY, order, cover).argmax(1).flatten(1)
    covered = cover.flatten(2).gather(1, seen[:, None])[:, 0, :, None]

    def of_seen(values: Tensor) -> Tensor:
        """Return what `values` (B, T, n) hold of the thing seen in each cell, (B, h w, n)."""
        return values.gather(1, seen[:, :, None].expand(-1, -1, values.shape[2]))

    start, end = of_seen(table.boxes).chunk(2, dim=2)
    size = (end - start).clamp(min=1e-3)
    cells = torch.tensor([width, height], device=cover.device, dtype=torch.float32)
    y, x = ((torch.arange(count, device=cover.device) + 0.5) / count for count in (height, width))
    middle = torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=1)
    place = ((middle - start) / size * 2.0 - 1.0).clamp(-1.5, 1.5)
    edges = (torch.cat([middle - start, end - middle], dim=2) * cells.repeat(2)).clamp(-1.0, _NEAR) / _NEAR
    number = (of_seen(table.numbers[:, :, None]) + 1.0) / len(LAYERS)
    colors = of_seen(table.colors)
    is_colored = (colors[..., :1] >= 0).float()
    color = (colors * 2.0 - 1.0) * is_colored
    features = [covered, place, edges, size, number, is_colored, color, of_seen(table.kinds)]
    whole = table.whole[:, None, layer, None].expand(batch, height * width, 1)
    channels = torch.cat([torch.cat(features, dim=2) * (covered > 0), whole], dim=2)
    return channels.transpose(1, 2).reshape(batch, -1, height, width)
