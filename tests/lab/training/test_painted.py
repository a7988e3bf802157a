from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.cli.test_train import write_cache
from tests.tiny_turbo import FOUR_STEPS, ONE_STEP, write_turbo
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import AssetError
from allaprima.lab.training.latents import LatentCache
from allaprima.lab.training.painted import WAYS, PaintedStore, build_painted
from allaprima.paint.bases.vignette.base import VignetteBase, load_vignette
from allaprima.paint.lora.files.folder import LoraFolder
from allaprima.paint.lora.manager import LoraManager


@pytest.fixture
def base(tmp_path: Path) -> VignetteBase:
    return load_vignette(write_tiny_vignette(tmp_path / "weights"), dtype=torch.float32)


@pytest.fixture
def loras(tmp_path: Path, base: VignetteBase) -> LoraManager:
    write_turbo(tmp_path / "loras" / "turbo.safetensors", FOUR_STEPS)
    write_turbo(tmp_path / "loras" / "turbo-1.safetensors", ONE_STEP, seed=1)
    return LoraManager(base.modules(), LoraFolder(tmp_path / "loras"), family=base.family)


def test_noised_scenes_are_finished_in_every_way(
    tmp_path: Path, base: VignetteBase, loras: LoraManager
) -> None:
    cache = LatentCache.open(write_cache(tmp_path / "cache", scenes=5))
    count = 2 * len(WAYS)
    painted = build_painted(tmp_path / "painted", cache, base, loras, count=count, batch=2)
    assert len(painted) == count
    assert painted.scenes.tolist() == [number % 5 for number in range(count)]
    assert np.isfinite(painted.latents.astype(np.float32)).all()
    starts = [base.schedule(way.steps, 256, 256).sigmas[way.skipped] for way in WAYS]
    assert painted.levels[::2].tolist() == pytest.approx(starts)
    again = build_painted(tmp_path / "again", cache, base, loras, count=count, batch=2)
    assert np.array_equal(again.latents, painted.latents)
    other = build_painted(tmp_path / "other", cache, base, loras, count=count, batch=2, seed=1)
    assert not np.array_equal(other.latents, painted.latents)


def test_the_later_it_begins_the_nearer_to_the_scene(
    tmp_path: Path, base: VignetteBase, loras: LoraManager
) -> None:
    cache = LatentCache.open(write_cache(tmp_path / "cache", scenes=6))
    painted = build_painted(tmp_path / "painted", cache, base, loras, count=6, batch=2)
    errors = [
        float(np.square(painted.latents[row].astype(np.float32) - cache.latents[painted.scenes[row]]).mean())
        for row in range(6)
    ]
    assert errors[4] + errors[5] < errors[0] + errors[1]


def test_a_damaged_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="has finished"):
        PaintedStore.open(tmp_path)
    np.save(tmp_path / "latents.npy", np.zeros((2, 4, 16, 16), np.float16))
    np.save(tmp_path / "scenes.npy", np.zeros(3, np.int32))
    np.save(tmp_path / "levels.npy", np.zeros(2, np.float32))
    with pytest.raises(AssetError, match="several lengths"):
        PaintedStore.open(tmp_path)
