"""How far a denoiser's velocity is from the true one on scenes it never saw, at one noise level after another.

Over all cells and over those under a subject, from words alone or with the map of each scene's layout. Noise and
captions are the same for every denoiser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from allaprima.lab.training.resident import Resident
from allaprima.lab.training.resident_layouts import ResidentLayouts
from allaprima.paint.bases.vignette.denoiser import Denoiser
from allaprima.paint.bases.vignette.layout import KindCode
from allaprima.paint.bases.vignette.text import TextEncoder

TIMES = (0.98, 0.9, 0.8, 0.6)
MOSTLY = 0.5
"""The share of a cell from which it is under a subject."""


@dataclass(frozen=True, kw_only=True)
class VelocityError:
    """Mean squared error of the velocity at one noise level."""

    time: float
    everywhere: float
    under_subjects: float


def whole_maps(caches: Sequence[Path], text: TextEncoder, code: KindCode) -> Tensor:
    """Return the map (N, M, 16, 16) of the whole layout of every scene in the caches."""
    layouts = ResidentLayouts(caches, text, code, torch.device("cpu"))
    return layouts.whole_maps(torch.arange(len(layouts)))


@torch.inference_mode()
def velocity_errors(
    denoiser: Denoiser,
    scenes: Resident,
    layout: Tensor | None = None,
    *,
    times: Sequence[float] = TIMES,
    caption: int = 0,
    batch: int = 64,
    seed: int = 0,
) -> list[VelocityError]:
    """Measure a denoiser on all of `scenes`, which lie on its device.

    Args:
        layout: (N, M, 16, 16), the map of each scene; None gives words alone.
        times: noise levels, 0 to 1.
        caption: which of each scene's captions is read.
        batch: scenes at once.
        seed: of the noise.
    """
    device, dtype = scenes.latents.device, next(denoiser.parameters()).dtype
    errors = []
    for time in times:
        sums = torch.zeros(4, dtype=torch.float64)
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, len(scenes), batch):
            chosen = torch.arange(start, min(start + batch, len(scenes)))
            captions = torch.full_like(chosen, caption)
            rows = scenes.rows(chosen, captions, int(scenes.lengths[chosen, captions].max()))
            noise = torch.randn(rows.clean.shape, generator=generator).to(device)
            noisy = (1 - time) * rows.clean + time * noise
            at = torch.full((len(chosen),), time, device=device)
            maps = None if layout is None else layout[start : start + batch].to(device, dtype)
            predicted = denoiser(noisy.to(dtype), at.to(dtype), rows.states.to(dtype), rows.mask, maps)
            error = (predicted.float() - (noise - rows.clean)).square().mean(1)
            under = (rows.covered >= MOSTLY).float()
            parts = (error.sum(), torch.ones_like(error).sum(), (error * under).sum(), under.sum())
            sums += torch.stack(parts).double().cpu()
        everywhere, under_subjects = float(sums[0] / sums[1]), float(sums[2] / sums[3].clamp(min=1))
        errors.append(VelocityError(time=time, everywhere=everywhere, under_subjects=under_subjects))
    return errors
