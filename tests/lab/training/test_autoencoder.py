"""The training of the autoencoder: pixels, crops, the measure it learns by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.lab.training.tiny_autoencoder import TINY

from allaprima.core.errors import WeightsError
from allaprima.lab.evaluation.metrics import ssim
from allaprima.lab.training.autoencoder import ReconstructionTask, from_pixels, likeness, to_pixels
from allaprima.lab.training.loop import LoopConfig, train
from allaprima.lab.training.release import averaged
from allaprima.lab.training.scenes import SceneStore
from allaprima.paint.bases.vignette.autoencoder import Autoencoder, AutoencoderConfig


def test_pixels_round_trip(store: SceneStore) -> None:
    pixels = to_pixels(store.images[:2])
    assert pixels.min() == -1.0
    assert pixels.max() == 1.0
    assert np.array_equal(from_pixels(pixels), store.images[:2])


def test_likeness_is_near_the_measure_and_survives_a_narrow_format(store: SceneStore) -> None:
    pixels = torch.nn.functional.avg_pool2d(to_pixels(store.images[:4]), 9, 1, 4)
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
    for strength in (0.0, 0.02, 0.1):
        other = pixels + strength * noise
        measured = float(ssim(other / 2 + 0.5, pixels / 2 + 0.5).mean())
        assert float(likeness(other, pixels)) == pytest.approx(measured, abs=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert float(likeness(other, pixels)) == pytest.approx(measured, abs=0.05)


def test_a_decoder_trained_alone_forgives_noise_and_moves_no_latent(
    tmp_path: Path, store: SceneStore
) -> None:
    torch.manual_seed(0)
    model = Autoencoder(TINY)
    model.encoder.requires_grad_(requires_grad=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    task = ReconstructionTask(stores=(store,), crop=64, noise=1.0)
    plan = LoopConfig(
        folder=tmp_path, steps=30, batch_size=4, learning_rate=3e-3, warmup_steps=1, ema_decay=0.5
    )
    after = train(model, task, plan)
    assert isinstance(after, Autoencoder)
    for name, value in after.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.startswith("decoder")), name
    with pytest.raises(WeightsError, match="a training of another model"):
        averaged(tmp_path, Autoencoder(TINY))
    released = _with(TINY, before)
    assert averaged(tmp_path, released, kept=True) == 30
    assert all(torch.equal(value, released.state_dict()[name]) for name, value in after.state_dict().items())
    pixels = to_pixels(np.asarray(store.images))
    with torch.inference_mode():
        latents = model.encode(pixels)
        noisy = latents + torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
        errors = [(one.decode(noisy) - pixels).square().mean() for one in (after, _with(TINY, before))]
    assert errors[0] < errors[1]


def _with(config: AutoencoderConfig, state: dict[str, torch.Tensor]) -> Autoencoder:
    model = Autoencoder(config)
    model.load_state_dict(state)
    return model


def test_crops_lie_on_subjects_half_the_time(store: SceneStore) -> None:
    from allaprima.lab.training.autoencoder import _corner_on_subject

    for x in np.linspace(0, 0.999, 20):
        left, top = _corner_on_subject(store.masks[0], float(x), 9, 8)
        assert left <= 12 < left + 8 or left <= 10 < left + 8
        assert top <= 8
