"""Caches in memory."""

from __future__ import annotations

import torch

from allaprima.lab.training.latents import LatentCache
from allaprima.lab.training.resident import NOTHING, Resident


def test_rows_are_those_of_the_caches(cache: LatentCache) -> None:
    scenes = Resident([cache, cache], torch.device("cpu"))
    picked = torch.tensor([3, 13, 0, 7]), torch.tensor([1, 1, 2, NOTHING])
    rows = scenes.rows(*picked, 6)
    states, mask = cache.text([(3, 1), (3, 1), (0, 2), None])
    assert torch.equal(rows.mask[:, : mask.shape[1]], mask)
    assert torch.equal(rows.states[:, : mask.shape[1]], states)
    assert not rows.states[:, mask.shape[1] :].any()
    assert torch.equal(rows.clean[0], rows.clean[1])
    assert torch.equal(rows.names[3], torch.from_numpy(cache.names[7]).long())
    cut = scenes.rows(*picked, 2)
    assert torch.equal(cut.states, rows.states[:, :2])
    assert len(scenes) == 20
