"""The layout map as Vignette's denoiser reads it, with kinds by what their names mean to the text encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from allaprima.core.layout import Layout
from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.layout.kinds import KindCode, mean_states
from allaprima.paint.layout.lattice import KIND_WIDTH, draw_map, tabulate


@torch.no_grad()
def kind_codes(names: Sequence[str], text: TextEncoder, code: KindCode) -> dict[str, Tensor]:
    """Return the code (K,) of each name."""
    return dict(zip(names, code(pooled_states(names, text)), strict=True)) if names else {}


def pooled_states(names: Sequence[str], text: TextEncoder) -> Tensor:
    """Return the mean state of each name, (n, D)."""
    encoded = text.encode(names)
    return mean_states(encoded.states.float(), encoded.mask)


def layout_map(
    layouts: Sequence[Layout],
    text: TextEncoder,
    code: KindCode,
    *,
    height: int,
    width: int,
    whole: bool = False,
) -> Tensor:
    """Return the map (B, M, height, width) of B pictures' layouts.

    Args:
        height: in cells, as is `width`.
        whole: whether nothing stands in the pictures but what is in the layouts.
    """
    codes = kind_codes(sorted({thing.kind for layout in layouts for thing in layout}), text, code)
    empty = torch.zeros(0, KIND_WIDTH)
    kinds = [torch.stack([codes[thing.kind] for thing in layout]) if layout else empty for layout in layouts]
    return draw_map(tabulate(layouts, kinds, whole=whole), height, width)
