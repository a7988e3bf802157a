"""The layouts of stored scenes in the memory of the device that trains, where their latents lie too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from allaprima.core.layout import LAYERS
from allaprima.lab.scenes.draw import ACCESSORIES, PERSON
from allaprima.lab.scenes.subjects import SUBJECTS
from allaprima.lab.training.layouts import BOX, COLOR, COLUMNS, FRAMINGS, KIND, LAYER, NUMBER, LayoutStore
from allaprima.paint.bases.vignette.layout import pooled_states
from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.layout.kinds import KindCode
from allaprima.paint.layout.lattice import ABSENT, LayoutTable


class ResidentLayouts:
    """The layouts of one or more caches, one after another."""

    def __init__(self, stores: Sequence[LayoutStore], codes: dict[str, Tensor], device: torch.device) -> None:
        """Copy the layouts to `device`.

        Args:
            stores: in the order of the latent caches that they belong to.
            codes: of each kind's name, see :func:`allaprima.paint.bases.vignette.layout.kind_codes`.
        """
        names = list(codes)
        self.kinds = torch.stack([codes[name] for name in names]).to(device)
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
        layers = rows[..., LAYER].long()
        present = (layers != ABSENT)[..., None]
        return LayoutTable(
            layers=layers,
            numbers=rows[..., NUMBER],
            boxes=rows[..., BOX],
            colors=torch.where(rows[..., COLOR] < 0, rows[..., COLOR], rows[..., COLOR] / 255.0),
            kinds=self.kinds[rows[..., KIND].long()] * present,
            whole=torch.ones(len(rows), len(LAYERS), device=rows.device),
        )


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


def all_kinds(stores: Sequence[LayoutStore]) -> list[str]:
    """Return the names of all kinds of things in the stores, sorted."""
    return sorted({kind for store in stores for kind in store.kinds})


def measure_code(code: KindCode, text: TextEncoder) -> None:
    """Measure a new denoiser's code on the names of all subjects and accessories, so alike in every training."""
    code.measure(pooled_states([*SUBJECTS, PERSON, *ACCESSORIES], text))
