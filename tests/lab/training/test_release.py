"""From a training to the file that ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.lab.training.tiny_autoencoder import TINY

from allaprima.core.errors import WeightsError
from allaprima.lab.training.autoencoder import ReconstructionTask, to_pixels
from allaprima.lab.training.checkpoint import write_tensors
from allaprima.lab.training.decoder import with_detail
from allaprima.lab.training.loop import LoopConfig, train
from allaprima.lab.training.release import averaged, measure_latents, release
from allaprima.lab.training.scenes import SceneStore
from allaprima.paint.bases.vignette.autoencoder import Autoencoder
from allaprima.paint.bases.vignette.weights import load_autoencoder


def test_an_autoencoder_is_trained_released_and_loaded(tmp_path: Path, store: SceneStore) -> None:
    torch.manual_seed(0)
    task = ReconstructionTask(stores=(store,), crop=64, shrunk_share=0.5, likeness_weight=0.2)
    plan = LoopConfig(folder=tmp_path, steps=8, batch_size=4, learning_rate=1e-3, log_every=4, sample_every=8)
    train(Autoencoder(TINY), task, plan)
    assert (tmp_path / "sample-0000008.png").is_file()
    model = Autoencoder(TINY)
    assert averaged(tmp_path, model) == 8
    measure_latents(model, store)
    release(model, tmp_path / "autoencoder.safetensors", tmp_path, 8)
    loaded = load_autoencoder(tmp_path / "autoencoder.safetensors", torch.device("cpu"), torch.float32)
    pixels = to_pixels(np.asarray(store.images))
    with torch.inference_mode():
        latents = loaded.encode(pixels)
        assert torch.allclose(latents, model.encode(pixels), atol=5e-2)
    assert latents.mean((0, 2, 3)).abs().max() < 0.05
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 0.05


def test_a_training_without_checkpoint_cannot_be_released(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected a whole safetensors file"):
        averaged(tmp_path, Autoencoder(TINY))


def test_a_share_of_what_was_learned_is_between_the_ends(tmp_path: Path) -> None:
    torch.manual_seed(0)
    begun = Autoencoder(TINY)
    ended = with_detail(begun, 4)
    with torch.no_grad():
        for parameter in ended.parameters():
            parameter.add_(torch.randn_like(parameter))
    average = {f"average.autoencoder.{name}": value for name, value in ended.state_dict().items()}
    write_tensors(tmp_path / "checkpoint.safetensors", average, {"step": "8"})
    half = with_detail(begun, 4)
    averaged(tmp_path, half, kept=True, begun=begun.state_dict(), share=0.5)
    known, new = begun.state_dict(), ended.state_dict()
    for name, value in half.state_dict().items():
        if name in known:
            torch.testing.assert_close(value, (known[name] + new[name]) / 2)
        elif name.startswith(("detail.narrow", "detail.finish")):
            torch.testing.assert_close(value, new[name] / 2)
        else:
            assert torch.equal(value, new[name])
