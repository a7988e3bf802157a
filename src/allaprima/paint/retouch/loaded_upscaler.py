"""An upscaler to work with, whoever made it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from allaprima.paint.retouch.tiles import TileSize


@dataclass(frozen=True, kw_only=True)
class LoadedUpscaler:
    """A network that enlarges pictures, and how to give them to it."""

    enlarge: Callable[[Tensor], Tensor]
    """Takes (1, 3, h, w) in [0, 1] and gives (1, 3, scale h, scale w)."""
    scale: int
    """How many times as many pixels it gives a side."""
    tiles: TileSize
    """How to cut a picture for it."""
