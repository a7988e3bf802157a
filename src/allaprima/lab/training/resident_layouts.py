"""The layouts of stored scenes in the memory of the device that trains, and what of them a denoiser sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from allaprima.core.layout import LAYERS
from allaprima.lab.scenes.draw import ACCESSORIES
from allaprima.lab.training.layouts import BOX, COLOR, COLUMNS, FRAMINGS, KIND, LAYER, NUMBER, LayoutStore
from allaprima.lab.training.loop import Draw
from allaprima.paint.bases.vignette.layout import ABSENT, KindCode, LayoutTable, draw_map, pooled_states
from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.layout.spots import LATTICE, PERSON
from allaprima.paint.layout.subjects import SUBJECTS

_SUBJECT, _PART = LAYERS.index("subject"), LAYERS.index("part")


class ResidentLayouts:
    """The layouts of one or more caches, one after another."""

    @torch.no_grad()
    def __init__(
        self, caches: Sequence[Path], text: TextEncoder, code: KindCode, device: torch.device
    ) -> None:
        """Copy the layouts in latent caches to `device`, and the codes of their kinds.

        A new code is measured first, on the names of all subjects and accessories: alike in every training.
        """
        if not code.directions.any():
            code.measure(pooled_states([*SUBJECTS, PERSON, *ACCESSORIES], text))
        stores = [LayoutStore.open(folder) for folder in caches]
        names = sorted({kind for store in stores for kind in store.kinds})
        self.kinds: Tensor = code(pooled_states(names, text)).to(device)
        most = max(int(store.spans[:, 1].max(initial=1)) for store in stores)
        parts = [_rows_of(store, names, most) for store in stores]
        self.rows = torch.from_numpy(np.concatenate(parts)).to(device)
        anywhere = np.concatenate([store.framings for store in stores]) == FRAMINGS.index("anywhere")
        self.anywhere = torch.from_numpy(anywhere).to(device)
        """(N,) bool, whether a scene's framing is "anywhere"."""

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.rows)

    def table(self, scenes: Tensor) -> LayoutTable:
        """Return the whole layouts of scenes (B,)."""
        rows = self.rows[scenes.to(self.rows.device)]
        layers, colors = rows[..., LAYER].long(), rows[..., COLOR]
        return LayoutTable(
            layers=layers,
            numbers=rows[..., NUMBER],
            boxes=rows[..., BOX],
            colors=torch.where(colors < 0, colors, colors / 255.0),
            kinds=self.kinds[rows[..., KIND].long()] * (layers != ABSENT)[..., None],
            whole=torch.ones(len(rows), len(LAYERS), device=rows.device),
        )

    def whole_maps(self, scenes: Tensor) -> Tensor:
        """Return the map (B, M, 16, 16) of the whole layouts of scenes (B,)."""
        return draw_map(self.table(scenes), LATTICE, LATTICE)

    def draw_some(self, scenes: Tensor, draw: Draw) -> Tensor:
        """Return the map (B, M, 16, 16) of scenes (B,), after dropout."""
        scenes = scenes.to(self.rows.device)
        dropped = drop_pieces(self.table(scenes), LayoutDropout(), draw, self.anywhere[scenes])
        return draw_map(dropped, LATTICE, LATTICE)


def _rows_of(store: LayoutStore, names: list[str], most: int) -> NDArray[np.float32]:
    """Return a store's things by scene, (N, most, COLUMNS), their kinds as indices into `names`."""
    counts = store.spans[:, 1]
    scene = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(scene)) - np.repeat(store.spans[:, 0], counts)
    rows = np.zeros((len(counts), most, COLUMNS), np.float32)
    rows[..., LAYER] = ABSENT
    rows[scene, place] = store.things[: len(scene)]
    index = np.array([names.index(kind) for kind in store.kinds], np.float32)
    rows[..., KIND] = index[rows[..., KIND].astype(np.int64)]
    return rows


@dataclass(frozen=True, kw_only=True)
class LayoutDropout:
    """How often which pieces of a layout are kept or dropped, as shares of the scenes."""

    nothing: float = 0.2
    """Nothing is kept: the denoiser has the words alone."""
    everything: float = 0.35
    subjects: float = 0.2
    """Subjects and their parts are kept. In the scenes that are left, each thing is kept or not at random."""
    no_kinds: float = 0.1
    """Boxes lose their kinds; this and the next three are drawn independently of what is kept."""
    no_colors: float = 0.4
    no_parts: float = 0.3
    no_numbers: float = 0.2

    def __post_init__(self) -> None:
        """Refuse shares of more than the whole."""
        shares = self.nothing, self.everything, self.subjects
        if sum(shares) > 1:
            raise ValueError("got shares {}, {} and {}; expected a sum of at most 1".format(*shares))


def drop_pieces(table: LayoutTable, dropout: LayoutDropout, draw: Draw, anywhere: Tensor) -> LayoutTable:
    """Return the table without pieces that are chosen at random, anew for each picture of the batch.

    The subjects' boxes are never dropped from pictures that are `anywhere` (B,), whose things have no usual place:
    words alone would have to mean every place at once.
    """
    layers = table.layers
    way, share, kinds, colors, parts, numbers = draw.uniform(6).to(layers.device).unbind(1)
    luck = draw.uniform(layers.shape[1]).to(layers.device)
    nothing = way < dropout.nothing
    everything = ~nothing & (way < dropout.nothing + dropout.everything)
    some = way >= dropout.nothing + dropout.everything + dropout.subjects
    only_subjects = ~(nothing | everything | some)
    no_parts = parts < dropout.no_parts
    dropped = nothing[:, None] | (some[:, None] & (luck >= share[:, None]))
    dropped = dropped | (no_parts[:, None] & (layers == _PART)) | (only_subjects[:, None] & (layers > _PART))
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
