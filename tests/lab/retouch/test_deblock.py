"""The de-block network learns from pairs, of which some are kept for measuring, and says what it gives and costs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny_vignette import write_tiny_vignette
from typer.testing import CliRunner

from allaprima.cli.app import app
from allaprima.core.errors import WeightsError
from allaprima.lab.retouch.deblock import HELD_OUT, DeblockTask, PaintedPairs, release_deblock
from allaprima.lab.training.checkpoint import write_tensors
from allaprima.lab.training.loop import Draw
from allaprima.lab.training.painted import PaintedStore
from allaprima.lab.training.scenes import SceneStore
from allaprima.paint.bases.vignette.weights import load_autoencoder
from allaprima.paint.retouch.deblock import DeblockConfig, DeblockNetwork

SCENES = 2 * HELD_OUT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, scenes of one grey each, and latents of no meaning."""
    folder = tmp_path_factory.mktemp("deblock")
    write_tiny_vignette(folder / "weights", detail_width=4)
    (folder / "scenes").mkdir()
    (folder / "painted").mkdir()
    greys = np.linspace(0, 255, SCENES).astype(np.uint8)
    images = np.broadcast_to(greys[:, None, None, None], (SCENES, 256, 256, 3))
    np.save(folder / "scenes" / "images.npy", images)
    np.save(folder / "scenes" / "masks.npy", np.zeros((SCENES, 16, 16), np.uint8))
    (folder / "scenes" / "store.json").write_text(json.dumps({"count": SCENES}))
    latents = np.random.default_rng(0).standard_normal((SCENES, 4, 16, 16)).astype(np.float16)
    np.save(folder / "painted" / "latents.npy", latents)
    np.save(folder / "painted" / "scenes.npy", np.arange(SCENES, dtype=np.int32))
    np.save(
        folder / "painted" / "levels.npy", np.where(np.arange(SCENES) % 40 < 20, 0.4, 0.8).astype(np.float32)
    )
    return folder


@pytest.fixture
def pairs(folder: Path) -> PaintedPairs:
    path = folder / "weights" / "autoencoder.safetensors"
    return PaintedPairs(
        store=SceneStore.open(folder / "scenes"),
        painted=PaintedStore.open(folder / "painted"),
        autoencoder=load_autoencoder(path, torch.device("cpu"), torch.float32),
    )


def test_nobody_learns_from_what_is_measured(pairs: PaintedPairs) -> None:
    assert pairs.held_out.tolist() == [0, HELD_OUT]
    assert len(pairs.learned) == SCENES - 2
    (grey,) = pairs.rows(np.array([5])).scenes
    assert float(grey.std()) == 0.0
    assert float(grey.mean()) == pytest.approx(int(5 * 255 / (SCENES - 1)) / 255, abs=1e-3)


def test_an_untrained_network_gains_nothing_and_its_loss_is_a_function_of_the_draw(
    pairs: PaintedPairs,
) -> None:
    task, network = DeblockTask(pairs=pairs, crop=32), DeblockNetwork(DeblockConfig(channels=4, pairs=1))

    def values(seed: int) -> dict[str, float]:
        generator = torch.Generator().manual_seed(seed)
        draw = Draw(step=0, batch_size=3, device=torch.device("cpu"), generator=generator)
        return {name: float(value.detach()) for name, value in task.loss(network, draw).items()}

    assert values(0)["gain"] == pytest.approx(0.0, abs=1e-4)
    assert values(0) == values(0) != values(1)


def test_the_commands_train_release_and_measure_it(folder: Path, tmp_path: Path) -> None:
    path, decoder = tmp_path / "deblock.safetensors", folder / "weights" / "autoencoder.safetensors"
    source = [
        "--store",
        str(folder / "scenes"),
        "--painted",
        str(folder / "painted"),
        "--decoder",
        str(decoder),
    ]
    run = str(tmp_path / "run")
    size = [
        "--channels",
        "4",
        "--fold",
        "4",
        "--crop",
        "32",
        "--steps",
        "3",
        "--batch",
        "2",
        "--threads",
        "1",
    ]
    for words in (
        ["train", "deblock", run, *source, *size],
        ["train", "release", run, "deblock", "-o", str(path)],
        ["evaluate", "deblock", str(path), *source, "--json"],
    ):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads(done.stdout.splitlines()[-1])["rows"]}
    gained = rows["PSNR gained on pairs of few steps"]
    assert (gained["must"], gained["aim"], gained["better"]) == (1.0, 1.5, "more")
    parts = [rows[f"PSNR gained where noise began at {level}"]["value"] for level in ("0.40", "0.80")]
    assert gained["value"] == pytest.approx(sum(parts) / 2, abs=1e-4)
    assert rows["file"]["value"] < 0.1
    assert (
        0
        < rows["time for a picture of 256 x 256"]["value"]
        < rows["time for a picture of 1024 x 1024"]["value"]
    )


def test_a_training_of_another_model_is_not_released(tmp_path: Path) -> None:
    write_tensors(tmp_path / "checkpoint.safetensors", {"average.x": torch.zeros(1)}, {"step": 1})
    with pytest.raises(WeightsError, match="training of another model"):
        release_deblock(tmp_path, tmp_path / "deblock.safetensors")
