"""What a latent cache holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tests.lab.training.tiny_autoencoder import TINY
from tests.tiny_vignette import write_tiny_vignette

from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.training.autoencoder import to_pixels
from allaprima.lab.training.latents import CAPTIONS, LatentCache, build_latents, build_text, captions_of
from allaprima.lab.training.scenes import SceneStore
from allaprima.paint.bases.vignette.autoencoder import Autoencoder
from allaprima.paint.bases.vignette.text import TextEncoder


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
