"""From rendered scenes to latents and captions on disk, and to the weight files that ship."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import AssetError, WeightsError
from allaprima.lab.evaluation.metrics import ssim
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.lab.training.autoencoder import ReconstructionTask, from_pixels, likeness, to_pixels
from allaprima.lab.training.latents import CAPTIONS, LatentCache, build_latents, build_text, captions_of
from allaprima.lab.training.loop import LoopConfig, train
from allaprima.lab.training.release import averaged, measure_latents, release
from allaprima.lab.training.scenes import SceneStore, StoreConfig, build_store, cell_coverage
from allaprima.paint.bases.vignette.autoencoder import Autoencoder, AutoencoderConfig
from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.bases.vignette.weights import load_autoencoder

TINY = AutoencoderConfig(
    latent_channels=4,
    encoder_widths=(8, 8, 8),
    encoder_depths=(0, 0, 1),
    decoder_widths=(8, 8, 8),
    decoder_depths=(0, 0, 1),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SceneStore:
    """Six painted stand-ins for scenes: a store only promises arrays and seeds."""
    folder, rng = tmp_path_factory.mktemp("store"), np.random.default_rng(0)
    np.save(folder / "images.npy", rng.integers(0, 256, (6, 256, 256, 3), dtype=np.uint8))
    masks = np.zeros((6, 16, 16), np.uint8)
    masks[:, 4:9, 10:13] = 255
    np.save(folder / "masks.npy", masks)
    (folder / "store.json").write_text('{"count": 6, "first_seed": 40, "style": "fluent"}')
    return SceneStore.open(folder)


def test_an_unfinished_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="no finished scene store"):
        SceneStore.open(tmp_path)


def test_a_store_holds_the_rendered_scenes(
    tmp_path: Path, sprites: SpriteCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLAPRIMA_CACHE", str(sprites.cache_dir))
    seeds = (seed for seed in range(10_000) if _drawable(seed, sprites) and _drawable(seed + 1, sprites))
    first = next(seeds)
    store = build_store(tmp_path / "one", StoreConfig(count=2, first_seed=first))
    rendered = render_scene(draw_scene(first + 1), sprites)
    assert np.array_equal(store.images[1], rendered.image)
    assert np.array_equal(store.masks[1], cell_coverage(rendered.masks))
    assert store.scene(1) == draw_scene(first + 1)
    by_two = build_store(tmp_path / "two", StoreConfig(count=2, first_seed=first), processes=2)
    assert np.array_equal(by_two.images, store.images)
    assert np.array_equal(by_two.masks, store.masks)
    assert pickle.loads(pickle.dumps(store)).folder == store.folder
    assert len(pickle.dumps(store)) < 1000


def _drawable(seed: int, sprites: SpriteCache) -> bool:
    try:
        render_scene(draw_scene(seed), sprites)
    except AssetError:
        return False
    return True


def test_coverage_is_the_share_of_a_cell() -> None:
    masks = np.zeros((2, 256, 256), np.uint8)
    masks[0, :16, :16] = 255
    masks[1, :16, 16:24] = 255
    cells = cell_coverage(masks)
    assert cells.shape == (16, 16)
    assert (cells[0, 0], cells[0, 1], cells[0, 2]) == (255, 128, 0)


def test_pixels_round_trip(store: SceneStore) -> None:
    pixels = to_pixels(store.images[:2])
    assert pixels.min() == -1.0
    assert pixels.max() == 1.0
    assert np.array_equal(from_pixels(pixels), store.images[:2])


def test_captions_belong_to_the_scene() -> None:
    captions = captions_of(draw_scene(5))
    assert len(captions) == CAPTIONS
    assert captions == captions_of(draw_scene(5))
    assert any("一" <= letter <= "鿿" for letter in captions[2])


def test_latents_and_captions_are_those_of_the_models(tmp_path: Path, store: SceneStore) -> None:
    weights = write_tiny_vignette(tmp_path / "weights")
    text = TextEncoder.from_file(weights / "text.safetensors")
    model = Autoencoder(TINY).eval()
    build_latents(tmp_path, store, model, scenes=range(2, 6), batch=3)
    build_text(tmp_path, store, text, scenes=range(2, 6), batch=3, processes=2)
    cache = LatentCache.open(tmp_path)
    assert len(cache) == 4
    with torch.no_grad():
        latent = model.encode(to_pixels(store.images[3:4]))[0]
    assert np.allclose(cache.latents[1], latent.numpy(), atol=2e-3)
    alone = text.encode([captions_of(store.scene(5))[2]])
    states, mask = cache.text([(3, 2)])
    assert torch.equal(mask, alone.mask)
    assert torch.allclose(states, alone.states, atol=2e-2)
    assert torch.allclose(cache.text([None])[0], text.encode([""]).states, atol=2e-2)


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


def test_a_training_without_checkpoint_cannot_be_released(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected a whole safetensors file"):
        averaged(tmp_path, Autoencoder(TINY))


def test_crops_lie_on_subjects_half_the_time(store: SceneStore) -> None:
    from allaprima.lab.training.autoencoder import _corner_on_subject

    for x in np.linspace(0, 0.999, 20):
        left, top = _corner_on_subject(store.masks[0], float(x), 9, 8)
        assert left <= 12 < left + 8 or left <= 10 < left + 8
        assert top <= 8
