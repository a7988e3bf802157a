"""A picture through a network in tiles, so that memory does not grow with the picture, and without seams.

A network of convolutions sees `reach` pixels far. Where tiles share twice as many, each pixel can be taken from
a tile in which all that it sees is there, and the result is that of the whole picture. Networks that see further
(with attention) are blended: over the rest of what tiles share, one fades into the next.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class TileSize:
    """How a picture is cut, in its own pixels."""

    side: int = 256
    reach: int = 12
    """At a tile's inner edges so many pixels are thrown away."""
    fade: int = 0
    """Over so many, what neighbouring tiles say is mixed."""

    def __post_init__(self) -> None:
        if self.side <= 2 * (2 * self.reach + self.fade):
            raise ValueError(f"got tiles of {self.side}; expected more than twice what they share")


@dataclass(frozen=True, kw_only=True)
class TileSpan:
    """One tile along one axis."""

    start: int
    stop: int
    rising: tuple[int, int]
    """Where its weight rises from 0 to 1; equal numbers are a step."""
    falling: tuple[int, int]
    """Where it falls to 0."""

    def weights(self, scale: int) -> Tensor:
        """Return the weight of each of its pixels after upscaling."""
        at = (torch.arange(self.start * scale, self.stop * scale) + 0.5) / scale
        return _ramp(at, *self.rising) - _ramp(at, *self.falling)


def spans(length: int, size: TileSize) -> list[TileSpan]:
    """Cover `length` pixels with tiles of one size, evenly spread."""
    side, shared = min(size.side, length), 2 * size.reach + size.fade
    if side == length:
        return [TileSpan(start=0, stop=length, rising=(0, 0), falling=(length, length))]
    count = -(-(length - shared) // (side - shared))
    starts = [round(index * (length - side) / (count - 1)) for index in range(count)]
    fades = []
    for start, later in pairwise(starts):
        middle = (later + start + side) // 2
        fades.append((middle - size.fade // 2, middle + size.fade // 2))
    edges = [(0, 0), *fades, (length, length)]
    return [
        TileSpan(start=start, stop=start + side, rising=rising, falling=falling)
        for start, (rising, falling) in zip(starts, pairwise(edges), strict=True)
    ]


def enlarge_in_tiles(
    pixels: Pixels, network: Callable[[Tensor], Tensor], scale: int, size: TileSize, device: torch.device
) -> Generator[float, None, Pixels]:
    """Yield the share that is done after each tile, and return the picture (scale H, scale W, 3); see `sum_tiles`."""
    whole = yield from sum_tiles(pixels, network, scale, size, device)
    done: Pixels = whole.mul_(255.0).round_().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return done


def sum_tiles(
    pixels: Pixels, network: Callable[[Tensor], Tensor], scale: int, size: TileSize, device: torch.device
) -> Generator[float, None, Tensor]:
    """Yield the share that is done after each tile, and return floats (3, scale H, scale W) in [0, 1].

    Args:
        pixels: (H, W, 3).
        network: takes (1, 3, h, w) in [0, 1] and gives (1, 3, scale h, scale w).
        scale: how many times as many pixels it gives a side.
        size: how to cut the picture.
        device: where the network computes.
    """
    height, width = pixels.shape[:2]
    grid = list(product(spans(height, size), spans(width, size)))
    whole = torch.zeros(3, height * scale, width * scale)
    for number, (row, column) in enumerate(grid, 1):
        tile = torch.from_numpy(pixels[row.start : row.stop, column.start : column.stop].copy())
        given = tile.to(device).permute(2, 0, 1)[None].float().div_(255.0)
        enlarged = network(given)[0].float().clamp(0.0, 1.0).cpu()
        weights = row.weights(scale)[:, None] * column.weights(scale)
        whole[:, _slice(row, scale), _slice(column, scale)] += enlarged * weights
        yield number / len(grid)
    return whole


def _slice(span: TileSpan, scale: int) -> slice:
    return slice(span.start * scale, span.stop * scale)


def _ramp(at: Tensor, low: int, high: int) -> Tensor:
    """Return 0 below `low`, 1 above `high`, and a straight line between."""
    if high <= low:
        return (at >= low).float()
    return ((at - low) / (high - low)).clamp(0.0, 1.0)
