"""Decoding and encoding in tiles, blended so that no seam is seen.

    pixels = decode_tiled(base.decode, latents, stride=8)

Most of a large picture's memory goes to the autoencoder, which sees only a neighbourhood at a time. Tiles overlap by
at least 128 pixels. In the outer quarters of an overlap, where a tile lacks its surroundings, only the other tile
counts; across the half between them one fades into the other. All tiles have one size, the smallest for their number.
This works with any base's `decode` and `encode`, for a tile of latents is the latents of a smaller picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor, nn

from allaprima.paint.memory.mid_block import Window, whole_mid_block
from allaprima.paint.memory.norm_statistics import shared_statistics

TILE = 512
"""A tile's most pixels along a side."""
OVERLAP = 128
"""The least pixels along a side that neighbouring tiles share."""

Grid = tuple[list["Span"], list["Span"]]
"""The rows and the columns of tiles."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A tile along one side, in latent cells."""

    start: int
    stop: int
    rising: tuple[int, int]
    """Cells across which its weight grows from 0 to 1; empty at the picture's edge."""
    falling: tuple[int, int]
    """Cells across which its weight falls from 1 to 0; empty at the picture's edge."""

    def weights(self, cell: int, device: torch.device) -> Tensor:
        """Return ((stop - start) * cell,) weights, `cell` to a latent cell; those of neighbours sum to 1."""
        at = torch.arange(self.start * cell, self.stop * cell, device=device) + 0.5
        # A difference, not a product, so that the weights sum to 1 where three tiles meet too.
        return _ramp(at, *self.rising, cell) - _ramp(at, *self.falling, cell)


def decode_tiled(
    decode: Callable[[Tensor], Tensor],
    latents: Tensor,
    *,
    stride: int,
    networks: Sequence[nn.Module] = (),
    tile: int = TILE,
    overlap: int = OVERLAP,
) -> Tensor:
    """Return the pixels (B, 3, stride h, stride w) of latents (B, C, h, w), a picture and a tile at a time.

    Args:
        decode: turns latents of any size into pixels.
        networks: those that `decode` runs; their group norms and middle blocks see the whole picture.
        tile: pixels along a tile's side, at most.
        overlap: pixels along a side that neighbouring tiles share, at least.
    """
    grid = _grid(latents.shape[2:], stride, tile, overlap)
    mid_block = next(filter(None, map(_find_mid_block, networks)), None)
    pictures = []
    for picture in torch.split(latents, 1):
        if len(grid[0]) * len(grid[1]) == 1:
            pictures.append(decode(picture))  # equal to an untiled decode, bit for bit
            continue
        with ExitStack() as whole:
            whole.enter_context(shared_statistics(networks, decode, picture, _tile_cells(grid)))
            enter_tile: Callable[[Window], None] | None = None
            if mid_block is not None:
                enter_tile = whole.enter_context(whole_mid_block(mid_block, decode, picture))
            pictures.append(_tiled(decode, picture, grid, entering=1, leaving=stride, enter_tile=enter_tile))
    return torch.cat(pictures) if len(pictures) > 1 else pictures[0]


def encode_tiled(
    encode: Callable[[Tensor], Tensor],
    pixels: Tensor,
    *,
    stride: int,
    networks: Sequence[nn.Module] = (),
    tile: int = TILE,
    overlap: int = OVERLAP,
) -> Tensor:
    """Return the latents (B, C, H / stride, W / stride) of pixels (B, 3, H, W), see `decode_tiled`."""
    grid = _grid([side // stride for side in pixels.shape[2:]], stride, tile, overlap)
    pictures = []
    for picture in torch.split(pixels, 1):
        if len(grid[0]) * len(grid[1]) == 1:
            pictures.append(encode(picture))
            continue
        with shared_statistics(networks, encode, picture, _tile_cells(grid), stride):
            pictures.append(_tiled(encode, picture, grid, entering=stride, leaving=1))
    return torch.cat(pictures) if len(pictures) > 1 else pictures[0]


def spans(cells: int, tile: int, overlap: int) -> list[Span]:
    """Cover `cells` cells with tiles of one size, of at most `tile` cells, that share at least `overlap` cells."""
    if cells <= tile:
        return [Span(start=0, stop=cells, rising=(0, 0), falling=(cells, cells))]
    if not 0 < overlap <= tile // 2:
        raise ValueError(
            f"got tiles of {tile} cells with {overlap} shared; expected some, at most half of them"
        )
    count = -(-(cells - overlap) // (tile - overlap))
    size = -(-(cells + (count - 1) * overlap) // count)
    starts = [round(index * (cells - size) / (count - 1)) for index in range(count)]
    # At either end of an overlap a quarter is left out, where one of the tiles lacks its surroundings.
    fades = [
        (later + (start + size - later) // 4, start + size - (start + size - later) // 4)
        for start, later in pairwise(starts)
    ]
    edges = [(0, 0), *fades, (cells, cells)]
    return [
        Span(start=start, stop=start + size, rising=rising, falling=falling)
        for start, (rising, falling) in zip(starts, pairwise(edges), strict=True)
    ]


def _grid(cells: Sequence[int], stride: int, tile: int, overlap: int) -> Grid:
    rows, columns = (spans(side, tile // stride, overlap // stride) for side in cells)
    return rows, columns


def _tile_cells(grid: Grid) -> int:
    (row, *_), (column, *_) = grid
    return (row.stop - row.start) * (column.stop - column.start)


def _find_mid_block(network: nn.Module) -> nn.Module | None:
    mid_block = getattr(getattr(network, "decoder", None), "mid_block", None)
    return mid_block if isinstance(mid_block, nn.Module) else None


def _tiled(
    work: Callable[[Tensor], Tensor],
    given: Tensor,
    grid: Grid,
    *,
    entering: int,
    leaving: int,
    enter_tile: Callable[[Window], None] | None = None,
) -> Tensor:
    """Return `work` of `given` (1, ...), whose cells have `entering` numbers a side before it and `leaving` after."""
    rows, columns = grid
    whole: Tensor | None = None
    for row, column in product(rows, columns):
        if enter_tile is not None:
            enter_tile((_slice(row, 1), _slice(column, 1)))
        done = work(given[:, :, _slice(row, entering), _slice(column, entering)])
        if whole is None:
            whole = done.new_zeros((1, done.shape[1], rows[-1].stop * leaving, columns[-1].stop * leaving))
        down, across = (span.weights(leaving, done.device).to(done.dtype) for span in (row, column))
        place = whole[0, :, _slice(row, leaving), _slice(column, leaving)]
        place.addcmul_(done[0], down[:, None] * across)
    assert whole is not None
    return whole


def _slice(span: Span, cell: int) -> slice:
    return slice(span.start * cell, span.stop * cell)


def _ramp(at: Tensor, low: int, high: int, cell: int) -> Tensor:
    """Return 0 below cell `low`, 1 above cell `high`, and a straight line between."""
    if high <= low:
        return (at >= low * cell).float()
    return ((at - low * cell) / ((high - low) * cell)).clamp(0.0, 1.0)
