"""Scenes whose velocity is known, and the size of a denoiser that reads their layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tests.tiny_vignette import WIDTH

from allaprima.lab.training.alignment import GROUPS
from allaprima.lab.training.latents import CAPTIONS, LatentCache
from allaprima.lab.training.resident import Resident
from allaprima.paint.bases.vignette.denoiser import DenoiserConfig

CONFIG = DenoiserConfig(
    latent_channels=4,
    layers=1,
    heads=2,
    head_width=16,
    text_width=WIDTH,
    rope_axes=(4, 6, 6),
    layout_channels=4,
)


def zero_scenes(folder: Path) -> Resident:
    """Write and return six scenes whose latents are zero, half covered by a subject."""
    count = 6
    masks = np.zeros((count, 16, 16), np.uint8)
    masks[:, :8] = 255
    np.save(folder / "latents.npy", np.zeros((count, 4, 16, 16), np.float16))
    np.save(folder / "masks.npy", masks)
    np.save(folder / "names.npy", np.zeros((count, len(GROUPS), 8, 8), np.int16))
    np.save(folder / "states.npy", np.zeros((3, WIDTH), np.float16))
    np.save(folder / "spans.npy", np.broadcast_to([0, 3], (count, CAPTIONS, 2)))
    np.save(folder / "empty.npy", np.zeros((2, WIDTH), np.float16))
    return Resident([LatentCache.open(folder)], torch.device("cpu"))
