"""Noise that belongs to a seed, not to a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch


def seeded_noise(
    seeds: Sequence[int], shape: Sequence[int], device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Return (B, *shape) float32 standard normal values, row i a function of `seeds[i]` and `shape` alone.

    Drawn on the CPU whatever the device, so that a seed means the same noise on every machine.
    """
    return next(noise_stream(seeds, shape, device))


def noise_stream(
    seeds: Sequence[int], shape: Sequence[int], device: torch.device | str = "cpu"
) -> Iterator[torch.Tensor]:
    """Yield noise without end: first what `seeded_noise` returns, then what each seed gives next.

    These are the numbers that stock pipelines draw from one generator to a picture.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    while True:
        yield torch.stack([torch.randn(*shape, generator=generator) for generator in generators]).to(device)
