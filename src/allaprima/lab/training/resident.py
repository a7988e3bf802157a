"""Latent caches in the memory of the device that trains, so that a batch is a few gathers and no loop over its rows.

A hundred thousand scenes with their captions are some gigabytes: they fit beside a small network, and reading them
row by row would be slower than the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from allaprima.lab.training.latents import CAPTIONS, LatentCache

NOTHING = CAPTIONS
"""Number of the empty prompt among a scene's captions."""


class Rows(NamedTuple):
    """B scenes with a caption each."""

    clean: Tensor
    """(B, C, 16, 16) float32 latents."""
    covered: Tensor
    """(B, 16, 16) float32, the share of each cell under a subject, 0 to 1."""
    names: Tensor
    """(B, groups, 8, 8) int64; see :func:`allaprima.lab.training.alignment.token_names`."""
    states: Tensor
    """(B, L, D) float32, zeros behind each caption's end."""
    mask: Tensor
    """(B, L) bool."""


class Resident:
    """The scenes of one or more caches, one after another."""

    def __init__(self, caches: Sequence[LatentCache], device: torch.device) -> None:
        """Copy caches that were made with one autoencoder and one text encoder to `device`."""
        self.latents = _joined([cache.latents for cache in caches], device)
        self.masks = _joined([cache.masks for cache in caches], device)
        self.names = _joined([cache.names for cache in caches], device)
        empty = caches[0].empty
        self.states = _joined([*(cache.states for cache in caches), empty], device)
        before = np.cumsum([0, *(len(cache.states) for cache in caches)])
        shifted = zip(caches, before[:-1], strict=True)
        spans = np.concatenate([cache.spans + np.array([start, 0]) for cache, start in shifted])
        nothing = np.broadcast_to(np.array([before[-1], len(empty)]), (len(spans), 1, 2))
        told = torch.from_numpy(np.concatenate([spans, nothing], axis=1))
        self.starts, self.counts = (part.contiguous().to(device) for part in told.unbind(2))
        self.lengths = told[:, :, 1].contiguous()
        """(N, CAPTIONS + 1) int64, on the CPU: tokens of each caption, those of the empty prompt last."""

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.latents)

    def rows(self, scenes: Tensor, captions: Tensor, length: int) -> Rows:
        """Gather scenes (B,) and the captions (B,) of these numbers, cut or padded to `length` tokens."""
        device = self.latents.device
        scenes, captions = (part.to(device, torch.int64, non_blocking=True) for part in (scenes, captions))
        position = torch.arange(length, device=device)
        mask = position < self.counts[scenes, captions][:, None]
        places = (self.starts[scenes, captions][:, None] + position).clamp(max=len(self.states) - 1)
        return Rows(
            clean=self.latents[scenes].float(),
            covered=self.masks[scenes].float() / 255.0,
            names=self.names[scenes].long(),
            states=self.states[places].float() * mask[:, :, None],
            mask=mask,
        )


def _joined(parts: Sequence[NDArray[np.generic]], device: torch.device) -> Tensor:
    """Put the parts one after another into the device's memory, without a joined copy elsewhere."""
    first = torch.from_numpy(parts[0][:1])
    whole = torch.empty((sum(map(len, parts)), *parts[0].shape[1:]), dtype=first.dtype, device=device)
    start = 0
    for part in parts:
        whole[start : start + len(part)].copy_(torch.from_numpy(np.ascontiguousarray(part)))
        start += len(part)
    return whole
