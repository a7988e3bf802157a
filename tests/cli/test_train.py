"""`prima train`: options that would do nothing are refused, and a denoiser learns to read layouts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.tiny_vignette import CHANNELS, WIDTH, write_tiny_vignette

from allaprima.cli.app import run
from allaprima.core.layout import Box, Thing
from allaprima.lab.training.alignment import GROUPS
from allaprima.lab.training.latents import CAPTIONS
from allaprima.lab.training.layouts import write_layouts
from allaprima.lab.training.release import denoiser_of
from allaprima.paint.bases.vignette import layout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("denoiser run --cache c --compile", "for every length is compiled anew"),
        ("denoiser run --cache c --text-tokens 24 --text-multiple 8", "both say how long captions are"),
        ("release run denoiser -o d --channels 4", "for the checkpoints of others say all"),
        ("release run upscaler -o d --start a", "expected it with autoencoder"),
        ("release run autoencoder -o d --share 0.5", "expected the weight file that the rest is of"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    words: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", *words.split()]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def write_cache(folder: Path, scenes: int = 4) -> Path:
    """Write a latent cache of noise whose text fits the tiny Vignette."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    np.save(folder / "latents.npy", rng.normal(size=(scenes, CHANNELS, 16, 16)).astype(np.float16))
    np.save(folder / "masks.npy", np.zeros((scenes, 16, 16), np.uint8))
    np.save(folder / "names.npy", np.zeros((scenes, len(GROUPS), 8, 8), np.int16))
    np.save(folder / "states.npy", rng.normal(size=(3, WIDTH)).astype(np.float16))
    np.save(folder / "spans.npy", np.broadcast_to([0, 3], (scenes, CAPTIONS, 2)))
    np.save(folder / "empty.npy", np.zeros((2, WIDTH), np.float16))
    return folder


def test_a_denoiser_learns_to_read_layouts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, cache = write_tiny_vignette(tmp_path / "weights"), write_cache(tmp_path / "cache")
    words = ["train", "denoiser", str(tmp_path / "run"), "--cache", str(cache), "--weights", str(weights)]
    words += ["--start", str(weights / "denoiser.safetensors"), "--layout", "--naming-weight", "0"]
    words += ["--steps", "2", "--batch", "2", "--warmup", "1", "--sample-every", "0"]
    assert run(words) == 2
    assert "does not say what stands where" in " ".join(capsys.readouterr().err.split())
    write_layouts(cache, [("scene", (Thing(kind="cat", box=Box(0.0, 0.0, 0.5, 0.5)),))] * 4)
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["steps"] == 2
    assert json.loads((tmp_path / "run" / "config.json").read_text())["warmup_steps"] == 1
    assert denoiser_of(tmp_path / "run").config.layout_channels == layout.CHANNELS
