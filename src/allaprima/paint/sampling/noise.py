"""Noise that belongs to a seed, not to a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def seeded_noise(
    seeds: Sequence[int], shape: Sequence[int], device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Return (B, *shape) float32 standard normal values, row i a function of `seeds[i]` and `shape` alone.

    Drawn on the CPU whatever the device, so that a seed means the same noise on every machine.
    """
    rows = [torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows).to(device)
