"""How pictures look beside renders, whatever they show: how steep their outlines are, and how far their features lie.

renders = look_at(batches_of_renders, features)
painted = look_at(batches_of_paintings, features)
painted.steps / renders.steps, frechet(painted.features, renders.features)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from allaprima.lab.evaluation.features import ImageFeatures
from allaprima.lab.training.decoder import strongest_steps

BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is kept of many pictures."""

    steps: float
    """Mean of the strongest 2 % of horizontal steps, where black to white is 1."""
    features: Tensor | None
    """(N, 1280); None where no network looked."""


def look_at(pictures: Iterable[Tensor], features: ImageFeatures | None) -> Look:
    """Look at pictures (3, H, W) in [0, 1], a batch at a time."""
    steps, described = [], []
    for batch in batches(pictures):
        # Its range is that of a decoder's pixels, [-1, 1].
        steps += [float(strongest_steps(picture * 2 - 1)) for picture in torch.split(batch, 1)]
        if features is not None:
            described.append(features.describe(batch))
    return Look(steps=sum(steps) / len(steps), features=torch.cat(described) if described else None)


def batches(pictures: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield pictures (3, H, W) as batches (B, 3, H, W)."""
    left = iter(pictures)
    while some := list(islice(left, BATCH)):
        yield torch.stack(some)
