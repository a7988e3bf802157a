"""The velocity's error of a folder of weights, on scenes that are rendered and encoded for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from allaprima.lab.comparison.velocity import VelocityError, velocity_errors, whole_maps
from allaprima.lab.training.latents import LatentCache, build_latents, build_text
from allaprima.lab.training.resident import Resident
from allaprima.lab.training.scenes import StoreConfig, build_store
from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.bases.vignette.weights import load_autoencoder, load_denoiser

FIRST_SCENE = 5_600_000_000
TIMES = (0.98, 0.8)


@dataclass(frozen=True, kw_only=True)
class UnseenVelocity:
    """Errors at `TIMES`."""

    words: list[VelocityError]
    layouts: list[VelocityError]
    """With whole layouts; none where the denoiser reads none."""


def unseen_velocity(weights: Path, scenes: int) -> UnseenVelocity:
    """Measure the denoiser in a folder of weights on so many unseen scenes; the sprites are needed."""
    cpu, precise = torch.device("cpu"), torch.float32
    text = TextEncoder.from_file(weights / "text.safetensors")
    denoiser = load_denoiser(weights / "denoiser.safetensors", cpu, precise)
    with TemporaryDirectory(prefix="unseen-scenes-") as folder:
        cache = Path(folder) / "latents"
        store = build_store(Path(folder) / "scenes", StoreConfig(count=scenes, first_seed=FIRST_SCENE))
        build_latents(cache, store, load_autoencoder(weights / "autoencoder.safetensors", cpu, precise))
        build_text(cache, store, text)
        resident = Resident([LatentCache.open(cache)], cpu)
        words = velocity_errors(denoiser, resident, times=TIMES)
        if denoiser.kind_code is None:
            return UnseenVelocity(words=words, layouts=[])
        maps = whole_maps([cache], text, denoiser.kind_code)
        return UnseenVelocity(words=words, layouts=velocity_errors(denoiser, resident, maps, times=TIMES))
