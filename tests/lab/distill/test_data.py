"""Material: what is held out stays out, and files that are not right are refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.lab.distill.tiny import (
    draw,
    rows,
    write_cache,
)
from tests.tiny_vignette import CHANNELS, WIDTH, write_tiny_vignette

from allaprima.cli.app import run
from allaprima.core.errors import AssetError, UserError
from allaprima.lab.distill.data import CacheData, CacheTexts, open_caches, read_prompts
from allaprima.lab.distill.teacher import set_up_teacher
from allaprima.lab.training.latents import CAPTIONS, LatentCache
from allaprima.paint.bases.vignette.base import load_vignette

SHAPE = (CHANNELS, 16, 16)


def test_scenes_that_are_held_out_are_never_learned_from(tmp_path: Path) -> None:
    cache = LatentCache.open(write_cache(tmp_path / "one"))
    other = LatentCache.open(write_cache(tmp_path / "other"))
    scenes = [scene.tobytes() for scene in cache.latents]
    captions = rows(CacheTexts(cache=cache).take(range(len(cache) * CAPTIONS)))
    seen, told = set(), set()
    for step in range(60):
        batch = CacheData(texts=(CacheTexts(cache=cache),), held_out=3).batch(draw(step))
        for picture, words in zip(batch.pictures(), rows(batch.text), strict=True):
            scene, number = scenes.index(picture.numpy().astype(np.float16).tobytes()), captions.index(words)
            assert number // CAPTIONS == scene
            seen.add(scene)
            told.add(number)
    assert seen == set(range(9))
    assert len(told) == 9 * CAPTIONS
    pictures = [
        CacheData(texts=(CacheTexts(cache=cache), CacheTexts(cache=other)), held_out=9)
        .batch(draw(step))
        .pictures()
        for step in range(60)
    ]
    all_seen = {scenes.index(one.numpy().astype(np.float16).tobytes()) for one in torch.cat(pictures)}
    assert all_seen == set(range(12))  # only the first is the exam's


def test_prompts_are_read_once_each_and_without_the_mark(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufeffa cat\r\na dog\n\n a cat \n猫\na hat\na dog".encode())
    assert read_prompts(path) == ["a cat", "a dog", "猫", "a hat"]


@pytest.mark.parametrize("held", [b"", b"\xff\xfe" * 30, b"a cat\n" * 8, b"a\nb\nc\n", None])
def test_files_that_are_no_prompts_are_refused(
    held: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prompts.txt"
    if held is not None:
        path.write_bytes(held)
    weights = write_tiny_vignette(tmp_path / "weights")
    given = [
        "--run",
        str(tmp_path / "run"),
        "--weights",
        str(weights),
        "--prompts",
        str(path),
        "--updates",
        "1",
    ]
    assert run(["distill", "dmd", *given]) == 2
    assert "prompts.txt" in capsys.readouterr().err
    with pytest.raises(UserError, match="expected a"):
        read_prompts(path)


def _resave(name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / name, change(np.load(folder / name)))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "latents.npy").write_bytes(b"xx"), "cannot read .*latents.npy"),
        (lambda folder: (folder / "states.npy").write_bytes(b""), "cannot read .*states.npy"),
        (lambda folder: (folder / "empty.npy").unlink(), "lacks empty"),
        (
            _resave("latents.npy", lambda old: np.zeros((12, 9, 16, 16), old.dtype)),
            r"\(9, 16, 16\) and .* expected \(4,",
        ),
        (_resave("latents.npy", lambda old: old[:, :, :8]), r"latents of \(4, 8, 16\)"),
        (_resave("latents.npy", lambda old: old[:7]), "'latents': 7, 'masks': 12"),
        (_resave("latents.npy", lambda old: old[0]), "expected an array of 4 dimensions"),
        (_resave("states.npy", lambda old: old[:9]), "go past their states"),
        (_resave("states.npy", lambda old: old[:, :7]), "go past their states"),
        (_resave("spans.npy", lambda old: old[:, :2]), "expected 4 a scene"),
        (_resave("spans.npy", lambda old: old - 1), "go past their states"),
    ],
)
def test_caches_that_are_damaged_or_anothers_are_refused(
    spoil: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    folder = write_cache(tmp_path / "cache")
    assert len(open_caches([folder], SHAPE, WIDTH)[0]) == 12
    spoil(folder)
    with pytest.raises(AssetError, match=said):
        open_caches([folder], SHAPE, WIDTH)


def test_caches_of_another_text_encoder_or_of_few_scenes_are_refused(tmp_path: Path) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path / "weights"))
    folder = write_cache(tmp_path / "few", 3)
    with pytest.raises(UserError, match=r"got 3 scenes .* expected at least 4"):
        set_up_teacher(base, "0" * 64, caches=(folder,))
    with pytest.raises(AssetError, match=f"prompts {WIDTH} wide; expected .* and 77"):
        open_caches([folder], SHAPE, 77)
    wide = write_cache(tmp_path / "wide")
    for name in ("states.npy", "empty.npy"):
        np.save(wide / name, np.zeros((len(np.load(wide / name)), 77), np.float16))
    with pytest.raises(AssetError, match=f"prompts 77 wide; expected .* and {WIDTH}"):
        set_up_teacher(base, "0" * 64, caches=(wide,))
