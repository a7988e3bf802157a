"""Dropout of layouts: a denoiser learns to paint from a whole layout, from some of it, or from words alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from allaprima.core.layout import LAYERS
from allaprima.lab.training.loop import Draw
from allaprima.paint.layout.lattice import ABSENT, LayoutTable

_SUBJECT, _PART = LAYERS.index("subject"), LAYERS.index("part")


@dataclass(frozen=True, kw_only=True)
class LayoutDropout:
    """How often which pieces of a layout are kept or dropped, as shares of the scenes."""

    nothing: float = 0.2
    """Nothing is kept: the denoiser has the words alone."""
    everything: float = 0.35
    """Everything is kept."""
    subjects: float = 0.2
    """Subjects and their parts are kept. In the scenes that are left, each thing is kept or not at random."""
    no_kinds: float = 0.1
    """Boxes lose their kinds; this and the next three are drawn independently of what is kept."""
    no_colors: float = 0.4
    no_parts: float = 0.3
    no_numbers: float = 0.2

    def __post_init__(self) -> None:
        """Refuse shares of more than the whole."""
        if self.nothing + self.everything + self.subjects > 1:
            raise ValueError(
                f"got shares {self.nothing}, {self.everything} and {self.subjects}; expected a sum of at most 1"
            )


def drop_pieces(
    table: LayoutTable, dropout: LayoutDropout, draw: Draw, anywhere: Tensor | None = None
) -> LayoutTable:
    """Return the table without pieces that are chosen at random, anew for each picture of the batch.

    The subjects' boxes are never dropped from pictures that are `anywhere` (B,), whose things have no usual place:
    words alone would have to mean every place at once.
    """
    device = table.layers.device
    way, share, kinds, colors, parts, numbers = draw.uniform(6).to(device).unbind(1)
    luck = draw.uniform(table.layers.shape[1]).to(device)
    nothing = way < dropout.nothing
    everything = ~nothing & (way < dropout.nothing + dropout.everything)
    some = way >= dropout.nothing + dropout.everything + dropout.subjects
    only_subjects = ~(nothing | everything | some)
    no_parts = parts < dropout.no_parts
    layers = table.layers
    dropped = nothing[:, None] | (some[:, None] & (luck >= share[:, None]))
    dropped = dropped | (no_parts[:, None] & (layers == _PART)) | (only_subjects[:, None] & (layers > _PART))
    if anywhere is not None:
        dropped = dropped & ~(anywhere[:, None] & (layers == _SUBJECT))
    whole = table.whole * everything[:, None]
    all_subjects = (only_subjects & (share < 0.5)).float()
    whole[:, _SUBJECT] = torch.maximum(whole[:, _SUBJECT], all_subjects)
    whole[:, _PART] *= ~no_parts
    return replace(
        table,
        layers=torch.where(dropped, ABSENT, layers),
        numbers=torch.where((numbers < dropout.no_numbers)[:, None], -1.0, table.numbers),
        colors=torch.where((colors < dropout.no_colors)[:, None, None], -1.0, table.colors),
        kinds=table.kinds * (kinds >= dropout.no_kinds)[:, None, None],
        whole=whole,
    )
