"""How far is a denoiser's velocity from the true one on scenes it never saw, from words alone and with their layouts?

    python -m benchmarks.velocity --cache runs/latents-unseen --denoiser runs/denoiser.safetensors --json

One number per noise level, over all cells and over those under a subject. Noise and captions are the same for every
denoiser.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from benchmarks.harness import RESULTS, Row, report

from allaprima.lab.comparison.velocity import VelocityError, velocity_errors, whole_maps
from allaprima.lab.training.latents import LatentCache
from allaprima.lab.training.resident import Resident
from allaprima.paint.bases.vignette.base import weights_folder
from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.bases.vignette.weights import load_denoiser
from allaprima.paint.device.precision import pick_device


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


def _rows(given: str, errors: list[VelocityError]) -> Iterator[Row]:
    for error in errors:
        yield Row(name=f"{given}, t = {error.time}", value=error.everywhere, unit="mse")
        yield Row(name=f"{given}, t = {error.time}, under subjects", value=error.under_subjects, unit="mse")


if __name__ == "__main__":
    typer.run(main)
