"""The velocity benchmark measures denoisers that read layouts with and without them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.lab.comparison.zero_scenes import CONFIG, zero_scenes
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.layout import Box, Thing
from allaprima.lab.training.layouts import write_layouts
from allaprima.lab.training.resident import Resident
from allaprima.paint.bases.vignette.denoiser import Denoiser
from allaprima.paint.bases.vignette.layout import CHANNELS
from allaprima.paint.bases.vignette.weights import stored
from benchmarks import velocity


@pytest.fixture
def scenes(tmp_path: Path) -> Resident:
    return zero_scenes(tmp_path)


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
