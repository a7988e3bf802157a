from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from allaprima.core.errors import AssetError
from allaprima.lab.retouch.style_pictures import HANDS, paint_by_rules, recolor
from allaprima.lab.retouch.styled_scenes import STYLES, StyledConfig, StyledScenes, build_styled_scenes
from allaprima.lab.retouch.wear import frame, wear
from allaprima.lab.scenes.mattes import render_with_matte
from allaprima.lab.scenes.spec import Scene, Subject
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.layout.vocabulary import Side

CATS = tuple(Subject(kind="cat", side=side) for side in get_args(Side)[::2])


def test_a_matte_is_all_subjects_and_nothing_else(sprites: SpriteCache) -> None:
    for style in STYLES:
        scene = Scene(seed=3, subjects=CATS, place="beach", hour="day", weather="clear", style=style)
        both = render_with_matte(scene, sprites, 128)[..., 3]
        empty = Scene(seed=3, subjects=(), place="beach", hour="day", weather="clear", style=style)
        bare = render_with_matte(empty, sprites, 128)
        assert not bare[..., 3].any()
        covered = both[:, :64].max(), both[:, 64:].max()
        assert covered == (255, 255)
    lit, unlit = (
        render_with_matte(
            Scene(seed=3, subjects=subjects, place="beach", hour="day", weather="clear"), sprites, 128
        )
        for subjects in (CATS, ())
    )
    changed = (lit[..., :3] != unlit[..., :3]).any(2)
    assert changed[lit[..., 3] == 255].mean() > 0.95


def test_stores_come_back_as_they_were_built(
    tmp_path: Path, sprites: SpriteCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLAPRIMA_CACHE", str(sprites.cache_dir))
    monkeypatch.setattr("allaprima.lab.retouch.styled_scenes.draw_framed", _draw_cat)
    with pytest.raises(AssetError, match="no finished store of styled scenes"):
        StyledScenes.open(tmp_path)
    config = StyledConfig(count=2, first_seed=7, hands=3)
    built = build_styled_scenes(tmp_path, config)
    again = StyledScenes.open(tmp_path)
    assert again.config == config
    assert again.pictures.shape == (2, len(STYLES), 256, 256, 4)
    assert again.hands.shape == (3, 256, 256, 3)
    assert np.array_equal(built.pictures, again.pictures)
    assert again.pictures[0, 0].any()
    assert (again.hands[0] != again.hands[2]).any()
    first = _draw_cat(7, split="any", style="noto")
    assert np.array_equal(again.pictures[0, 3], render_with_matte(first, sprites))


def _draw_cat(seed: int, *, split: str, style: str) -> Scene:
    assert split == "any"
    return Scene(seed=seed, subjects=CATS[:1], place="beach", hour="day", weather="clear", style=style)  # type: ignore[arg-type]


def test_wear_keeps_the_matte_where_the_picture_is() -> None:
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[20:44, 10:30] = (255, 255, 255, 255)
    for seed in range(20):
        framed = frame(picture, 64, np.random.default_rng(seed))
        assert np.abs(framed[..., 0].astype(int) - framed[..., 3]).max() == 0
        assert frame(picture, 32, np.random.default_rng(seed)).shape == (32, 32, 4)
        worn = wear(np.ascontiguousarray(framed[..., :3]), np.random.default_rng(seed))
        assert worn.shape == (64, 64, 3)
        assert worn.dtype == np.uint8
    assert np.array_equal(
        frame(picture, 48, np.random.default_rng(3)), frame(picture, 48, np.random.default_rng(3))
    )


def test_every_hand_paints_another_picture_of_the_same_scene() -> None:
    scene = np.full((64, 64, 3), (90, 160, 220), np.uint8)
    scene[30:] = (230, 190, 120)
    painted = [np.asarray(hand(Image.fromarray(scene), np.random.default_rng(1))) for hand in HANDS]
    assert all(one.shape == scene.shape for one in painted)
    pairs = [(a, b) for a in range(len(painted)) for b in range(a)]
    assert all(np.abs(painted[a].astype(int) - painted[b]).mean() > 2 for a, b in pairs)
    assert np.array_equal(
        paint_by_rules(scene, np.random.default_rng(5)), paint_by_rules(scene, np.random.default_rng(5))
    )
    colors = {recolor(scene, np.random.default_rng(seed)).tobytes() for seed in range(12)}
    assert len(colors) > 5
