"""How far is a denoiser's velocity from the true one on scenes it never saw, from words alone and with their layouts?

    python -m benchmarks.velocity --cache runs/latents-unseen --denoiser runs/denoiser.safetensors --json

One number per noise level, over all cells and over those under a subject. Noise and captions are the same for every
denoiser.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from benchmarks.harness import RESULTS, Row, report
from torch import Tensor

from allaprima.lab.training.latents import LatentCache
from allaprima.lab.training.resident import Resident
from allaprima.lab.training.resident_layouts import ResidentLayouts
from allaprima.paint.bases.vignette.base import weights_folder
from allaprima.paint.bases.vignette.denoiser import Denoiser
from allaprima.paint.bases.vignette.layout import KindCode
from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.bases.vignette.weights import load_denoiser
from allaprima.paint.device.precision import pick_device

TIMES = (0.98, 0.9, 0.8, 0.6)
MOSTLY = 0.5
"""The share of a cell from which it is under a subject."""


@dataclass(frozen=True, kw_only=True)
class VelocityError:
    """Mean squared error of the velocity at one noise level."""

    time: float
    everywhere: float
    under_subjects: float


def main(
    cache: Annotated[list[Path], typer.Option("--cache", help="Latent cache; several may be given.")],
    denoiser: Annotated[Path | None, typer.Option(help="Weight file. Default: the one that ships.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder of the text encoder, for layouts.")] = None,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    device, weights = pick_device(), weights or weights_folder()
    model = load_denoiser(denoiser or weights / "denoiser.safetensors", torch.device("cpu"), torch.float32)
    text = TextEncoder.from_file(weights / "text.safetensors")
    maps = None if model.kind_code is None else whole_maps(cache, text, model.kind_code)
    model.to(device)
    scenes = Resident([LatentCache.open(folder) for folder in cache], device)
    rows = list(_rows("words", velocity_errors(model, scenes)))
    if maps is not None:
        rows += _rows("whole layouts", velocity_errors(model, scenes, maps))
    report("velocity", rows, {"scenes": len(scenes)}, as_json=as_json, folder=results)


def whole_maps(caches: Sequence[Path], text: TextEncoder, code: KindCode) -> Tensor:
    """Return the map (N, M, 16, 16) of the whole layout of every scene in the caches."""
    layouts = ResidentLayouts(caches, text, code, torch.device("cpu"))
    return layouts.whole_maps(torch.arange(len(layouts)))


def _rows(given: str, errors: list[VelocityError]) -> Iterator[Row]:
    for error in errors:
        yield Row(name=f"{given}, t = {error.time}", value=error.everywhere, unit="mse")
        yield Row(name=f"{given}, t = {error.time}, under subjects", value=error.under_subjects, unit="mse")


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


if __name__ == "__main__":
    typer.run(main)
