from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from allaprima.core.errors import AssetError, WeightsError
from allaprima.lab.retouch.pictures import LargePictures, PicturesConfig, build_pictures, training_scene
from allaprima.lab.retouch.upscaler import UpscaleTask, halve, release_upscaler, through_jpeg, turned
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.lab.training.loop import Draw, LoopConfig, train
from allaprima.paint.bases.vignette.autoencoder import Autoencoder, AutoencoderConfig
from allaprima.paint.retouch.upscaler import Upscaler, UpscalerConfig
from allaprima.paint.retouch.upscaler_files import load_upscaler


@pytest.fixture(scope="module")
def store() -> LargePictures:
    """Large pictures of discs: edges in all directions."""
    axis = np.arange(512) - 255.5
    distance = np.hypot(axis[:, None], axis)
    # Edges a pixel wide, as those of what is drawn.
    discs = [np.clip(np.sin(2 * np.pi * distance / period) * period / 6, -1, 1) for period in (24, 40, 64)]
    sharp = np.repeat((135 + 95 * np.stack(discs))[..., None].astype(np.uint8), 3, axis=3)
    painted = np.stack([halve(one, Image.Resampling.BOX) for one in sharp])
    return LargePictures(sharp=sharp, painted=painted)


def draw(step: int, rows: int = 8) -> Draw:
    generator = torch.Generator().manual_seed(step)
    return Draw(step=step, batch_size=rows, device=torch.device("cpu"), generator=generator)


def test_small_crops_are_the_halved_sharp_ones(store: LargePictures) -> None:
    task = UpscaleTask(stores=(store,), crop=32, jpeg_share=0.0)
    small, sharp = task.crops(draw(0, 64))
    assert (small.shape, sharp.shape) == ((64, 16, 16, 3), (64, 32, 32, 3))
    halved = np.stack([halve(one, Image.Resampling.BOX) for one in sharp])
    assert np.abs(halved.astype(int) - small).mean() < 8
    again, _ = task.crops(draw(0, 64))
    assert np.array_equal(small, again)
    assert not np.array_equal(small, task.crops(draw(1, 64))[0])


def test_painted_and_jpeg_crops_come_as_often_as_they_are_to(store: LargePictures) -> None:
    black = replace(store, painted=np.zeros_like(store.painted))
    small, _ = UpscaleTask(stores=(black,), crop=32, painted_share=0.5, jpeg_share=0.0).crops(draw(0, 200))
    assert 0.35 < np.mean([not one.any() for one in small]) < 0.65
    plain, jpeg = (
        UpscaleTask(stores=(store,), crop=32, jpeg_share=share).crops(draw(3))[0] for share in (0.0, 1.0)
    )
    assert all((one != other).any() for one, other in zip(plain, jpeg, strict=True))
    assert np.abs(through_jpeg(plain[0], 95).astype(int) - plain[0]).mean() < 6


def test_a_picture_is_turned_in_eight_ways() -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert len({turned(picture, turn).tobytes() for turn in range(8)}) == 8


def test_it_learns_to_beat_repeated_pixels_and_is_released(store: LargePictures, tmp_path: Path) -> None:
    task = UpscaleTask(stores=(store,), crop=32, painted_share=0.0, jpeg_share=0.0)
    torch.manual_seed(0)
    config = LoopConfig(
        folder=tmp_path / "run", steps=120, batch_size=8, learning_rate=1e-2, warmup_steps=5, sample_every=120
    )
    trained = train(Upscaler(UpscalerConfig(channels=8, pairs=1)), task, config)
    fresh = Upscaler(UpscalerConfig(channels=8, pairs=1))
    with torch.no_grad():
        before, after = (task.loss(model, draw(999, 32)) for model in (fresh, trained))
    assert float(after["psnr"]) > float(before["psnr"]) + 1.0
    assert (tmp_path / "run" / "sample-0000120.png").is_file()
    assert release_upscaler(tmp_path / "run", tmp_path / "upscaler.safetensors") == 120
    loaded = load_upscaler(tmp_path / "upscaler.safetensors", torch.device("cpu"), torch.float32)
    given = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(loaded.enlarge(given), trained(given), atol=1e-2)


def test_a_training_of_another_model_is_not_released(tmp_path: Path) -> None:
    from allaprima.lab.training.checkpoint import write_tensors

    write_tensors(tmp_path / "checkpoint.safetensors", {"average.x": torch.zeros(1)}, {"step": 1})
    with pytest.raises(WeightsError, match="training of another model"):
        release_upscaler(tmp_path, tmp_path / "upscaler.safetensors")


def test_large_pictures_are_drawn_and_painted(sprites: SpriteCache, tmp_path: Path) -> None:
    seed = next(
        seed for seed in range(0, 1000, 2) if training_scene(seed).subjects[0].kind in ("car", "person")
    )
    autoencoder = Autoencoder(AutoencoderConfig(encoder_widths=(8, 8, 8), decoder_widths=(8, 8, 8))).eval()
    config = PicturesConfig(count=1, first_seed=seed)
    built = build_pictures(tmp_path / "store", config, autoencoder, sprites.cache_dir)
    assert np.array_equal(built.sharp[0], render_scene(training_scene(seed), sprites, 512).image)
    assert built.painted.shape == (1, 256, 256, 3)
    assert np.array_equal(LargePictures.open(tmp_path / "store").painted, built.painted)
    with pytest.raises(AssetError, match="prima train pictures"):
        LargePictures.open(tmp_path / "absent")
