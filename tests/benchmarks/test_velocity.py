"""The velocity benchmark measures denoisers that read layouts with and without them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.tiny_vignette import WIDTH, write_tiny_vignette

from allaprima.core.layout import Box, Thing
from allaprima.lab.training.alignment import GROUPS
from allaprima.lab.training.latents import CAPTIONS, LatentCache
from allaprima.lab.training.layouts import write_layouts
from allaprima.lab.training.resident import Resident
from allaprima.paint.bases.vignette.denoiser import Denoiser, DenoiserConfig
from allaprima.paint.bases.vignette.layout import CHANNELS
from allaprima.paint.bases.vignette.weights import stored
from benchmarks import velocity

CONFIG = DenoiserConfig(
    latent_channels=4,
    layers=1,
    heads=2,
    head_width=16,
    text_width=WIDTH,
    rope_axes=(4, 6, 6),
    layout_channels=4,
)


@pytest.fixture
def scenes(tmp_path: Path) -> Resident:
    """Six scenes whose latents are zero, half covered by a subject."""
    count = 6
    masks = np.zeros((count, 16, 16), np.uint8)
    masks[:, :8] = 255
    np.save(tmp_path / "latents.npy", np.zeros((count, 4, 16, 16), np.float16))
    np.save(tmp_path / "masks.npy", masks)
    np.save(tmp_path / "names.npy", np.zeros((count, len(GROUPS), 8, 8), np.int16))
    np.save(tmp_path / "states.npy", np.zeros((3, WIDTH), np.float16))
    np.save(tmp_path / "spans.npy", np.broadcast_to([0, 3], (count, CAPTIONS, 2)))
    np.save(tmp_path / "empty.npy", np.zeros((2, WIDTH), np.float16))
    return Resident([LatentCache.open(tmp_path)], torch.device("cpu"))


@pytest.mark.usefixtures("scenes")
def test_denoisers_that_read_layouts_are_measured_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_layouts(tmp_path, [("scene", (Thing(kind="cat", box=Box(0.0, 0.0, 0.5, 0.5)),))] * 6)
    weights = write_tiny_vignette(tmp_path / "weights")
    torch.manual_seed(0)
    tensors, metadata = stored(Denoiser(replace(CONFIG, layout_channels=CHANNELS)))
    save_file(tensors, tmp_path / "denoiser.safetensors", metadata)
    for denoiser in (None, tmp_path / "denoiser.safetensors"):
        velocity.main(
            cache=[tmp_path], denoiser=denoiser, weights=weights, results=tmp_path / "results", as_json=True
        )
    plain, layout = (
        {row["name"]: row["value"] for row in json.loads(line)["rows"]}
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("{")
    )
    assert len(plain) == 8
    assert len(layout) == 16
    assert layout["words, t = 0.9"] != layout["whole layouts, t = 0.9"]
