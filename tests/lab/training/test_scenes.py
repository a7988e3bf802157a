"""From rendered scenes to latents and captions on disk, and to the weight files that ship."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from allaprima.core.errors import AssetError
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.lab.training.scenes import SceneStore, StoreConfig, build_store, cell_coverage


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
