from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.cli.test_train import write_cache
from tests.tiny_turbo import FOUR_STEPS, ONE_STEP, write_turbo
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.lab.training.autoencoder import to_pixels
from allaprima.lab.training.critic import Critic
from allaprima.lab.training.decoder import (
    DecoderAndCritic,
    PaintedTask,
    measured_scales,
    strongest_steps,
    with_detail,
)
from allaprima.lab.training.latents import LatentCache
from allaprima.lab.training.loop import LoopConfig, train
from allaprima.lab.training.painted import PaintedStore
from allaprima.lab.training.release import learned_weights
from allaprima.lab.training.scenes import SceneStore
from allaprima.paint.bases.vignette.autoencoder import Autoencoder, AutoencoderConfig
from allaprima.paint.bases.vignette.weights import load_autoencoder
from allaprima.paint.retouch.lite_encoder import LiteEncoder

TINY = AutoencoderConfig(
    latent_channels=4, encoder_widths=(8, 8, 8), encoder_depths=(0, 0, 1), decoder_widths=(8, 8, 8),
    decoder_depths=(0, 0, 1),
)  # fmt: skip


def test_sharp_pictures_have_strong_steps() -> None:
    sharp = torch.where(torch.arange(64) < 32, -1.0, 1.0).expand(1, 3, 64, 64)
    assert float(strongest_steps(sharp, share=1 / 63)) == pytest.approx(1.0)
    soft = torch.nn.functional.avg_pool2d(sharp, (1, 5), 1, (0, 2))
    assert float(strongest_steps(soft)) < 0.5 * float(strongest_steps(sharp))


def test_an_untrained_fine_end_only_steepens_edges_a_little() -> None:
    torch.manual_seed(0)
    plain = Autoencoder(TINY).eval()
    grown = with_detail(plain, None).eval()
    assert grown.config.detail_width == 16
    assert with_detail(grown, None) is grown
    assert with_detail(plain, 0) is plain
    assert with_detail(grown, 8).config.detail_width == 8
    latents = torch.randn(1, 4, 4, 4)
    with torch.inference_mode():
        fine, coarse = grown.decode_both(latents)
        assert torch.equal(coarse, plain.decode(latents))
        assert torch.equal(fine, grown.decode(latents))
        assert 0 < float((fine - coarse).abs().mean()) < 0.3 * float(coarse.std())


def test_a_decoder_learns_on_what_is_painted_and_is_released(
    tmp_path: Path, store: SceneStore, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = write_tiny_vignette(tmp_path / "weights")
    write_turbo(weights / "loras" / "turbo.safetensors", FOUR_STEPS)
    write_turbo(weights / "loras" / "turbo-1.safetensors", ONE_STEP)
    cache = write_cache(tmp_path / "cache", scenes=6)
    painted, begun, trained = tmp_path / "painted", weights / "autoencoder.safetensors", tmp_path / "run"
    words = ["train", "painted", str(painted), "--cache", str(cache), "--weights", str(weights)]
    assert run([*words, "--count", "14", "--batch", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["latents"] == 14
    words = ["train", "decoder", str(trained), "--store", str(store.folder), "--cache", str(cache)]
    words += ["--painted", str(painted), "--start", str(begun), "--detail", "4", "--batch", "2"]
    assert run([*words, "--steps", "2", "--save-every", "1", "--sample-every", "2"]) == 0
    assert run([*words, "--steps", "3", "--sample-every", "0", "--json"]) == 0  # goes on
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["steps"] == 3
    assert (trained / "sample-0000002.png").is_file()
    learned, _ = learned_weights(trained)
    assert not any(name.startswith(("encoder", "critic")) for name in learned)
    released = tmp_path / "released.safetensors"
    assert (
        run(["train", "release", str(trained), "autoencoder", "--start", str(begun), "-o", str(released)])
        == 0
    )
    before, after = (load_autoencoder(path, torch.device("cpu"), torch.float32) for path in (begun, released))
    assert after.config.detail_width == 4
    pixels = to_pixels(store.images[:1])
    with torch.inference_mode():
        latents = before.encode(pixels)
        assert torch.allclose(after.encode(pixels), latents, atol=1e-4)
        assert not torch.allclose(after.decode(latents), before.decode(latents), atol=1e-3)


def test_it_is_told_how_sharp_and_how_true_its_pictures_are(tmp_path: Path, store: SceneStore) -> None:
    torch.manual_seed(0)
    cache = LatentCache.open(write_cache(tmp_path / "cache", scenes=6))
    painted = PaintedStore(
        latents=cache.latents[[3, 1]],
        scenes=np.array([3, 1], np.int32),
        levels=np.array([0.4, 0.9], np.float32),
    )
    encoder = LiteEncoder(3).eval().requires_grad_(False)
    model = DecoderAndCritic(
        with_detail(Autoencoder(TINY), 4), Critic(hidden=4), measured_scales(encoder, store, pictures=6)
    )
    frozen = {name: value.clone() for name, value in model.autoencoder.encoder.state_dict().items()}
    task = PaintedTask(
        model=model, store=store, cache=cache, painted=painted, encoder=encoder, clean_share=0.5
    )
    plan = LoopConfig(folder=tmp_path, steps=2, batch_size=4, learning_rate=1e-3, log_every=1)
    train(model, task, plan)
    logged = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert {"psnr", "praise", "sharpness", "features", "critic_loss"} <= logged.keys()
    assert all(
        torch.equal(value, frozen[name]) for name, value in model.autoencoder.encoder.state_dict().items()
    )
