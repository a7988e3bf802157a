"""Layouts as Vignette's denoiser reads them: things in words and boxes become the map of its cells.

maps = LayoutMaps(text_encoder, denoiser)
layout = maps.draw([PaintedLayout(things=(cat,))], 16, 16)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from allaprima.core.layout import LAYERS, PaintedLayout
from allaprima.core.lru import LruCache
from allaprima.paint.bases.vignette.denoiser import Denoiser
from allaprima.paint.bases.vignette.layout import ABSENT, KIND_WIDTH, LayoutTable, draw_map, pooled_states
from allaprima.paint.bases.vignette.text import TextEncoder

MAX_KINDS: Final = 1024
"""Names whose codes are kept, several times as many as the renderer knows."""


class LayoutMaps:
    """Draws the maps for one denoiser, and keeps the codes of the kinds it has met.

    Args:
        text: reads the names of kinds.
        denoiser: whose codes of kinds are drawn.
    """

    def __init__(self, text: TextEncoder, denoiser: Denoiser) -> None:
        self._text = text
        self._denoiser = denoiser
        self._codes = LruCache[str, list[float]](max_count=MAX_KINDS)

    @torch.inference_mode()
    def draw(self, layouts: Sequence[PaintedLayout], height: int, width: int) -> Tensor:
        """Return the map (B, M, height, width) of `layouts` on a lattice of cells, on the CPU."""
        return draw_map(self._table(layouts), height, width)

    def _table(self, layouts: Sequence[PaintedLayout]) -> LayoutTable:
        most = max(1, *(len(layout.things) for layout in layouts))
        layers, numbers, boxes, colors, kinds = [], [], [], [], []
        for layout in layouts:
            empty = most - len(layout.things)
            layers.append([LAYERS.index(thing.layer) for thing in layout.things] + [ABSENT] * empty)
            numbers.append([float(thing.number) for thing in layout.things] + [0.0] * empty)
            boxes.append([list(thing.box) for thing in layout.things] + [[0.0] * 4] * empty)
            colors.append([_levels(thing.color) for thing in layout.things] + [[-1.0] * 3] * empty)
            kinds.append([self._code(thing.kind) for thing in layout.things] + [[0.0] * KIND_WIDTH] * empty)
        return LayoutTable(
            layers=torch.tensor(layers),
            numbers=torch.tensor(numbers),
            boxes=torch.tensor(boxes),
            colors=torch.tensor(colors),
            kinds=torch.tensor(kinds),
            whole=torch.tensor([[float(layer in layout.whole) for layer in LAYERS] for layout in layouts]),
        )

    def _code(self, kind: str) -> list[float]:
        """Return the code of a kind; encoded by itself, so that its bits do not hang on the others."""
        return self._codes.get_or_make(kind, lambda: self._encode(kind))

    def _encode(self, kind: str) -> list[float]:
        code = self._denoiser.kind_code
        assert code is not None, "only a denoiser with layout channels is drawn for"
        codes: Tensor = code(pooled_states([kind], self._text).to(code.mean.device))
        return [float(number) for number in codes[0].tolist()]


def _levels(color: tuple[int, int, int] | None) -> list[float]:
    return [-1.0] * 3 if color is None else [level / 255.0 for level in color]
