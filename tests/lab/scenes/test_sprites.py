from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from allaprima.core.errors import AssetError
from allaprima.lab.scenes.sprites import (
    SpriteCache,
    fit,
    large_cache_dir,
    rasterise,
    save_sprites,
    trim,
)


def disc(size: int = 192) -> Image.Image:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="2" fill="red"/></svg>'
    return rasterise(svg, size)


def test_sprites_come_back_trimmed(tmp_path: Path) -> None:
    save_sprites(tmp_path, "fluent", {"disc": disc()})
    cache = SpriteCache(tmp_path)
    assert cache.icons("fluent") == ("disc",)
    assert abs(cache.whole("disc", "fluent").width - 96) <= 2


def test_sized_fits_the_box_in_proportion_and_is_remembered(tmp_path: Path) -> None:
    save_sprites(tmp_path, "flat", {"disc": disc()})
    cache = SpriteCache(tmp_path)
    picture = cache.sized("disc", "flat", width=40, height=90)
    assert picture.size == (40, 40)
    assert cache.sized("disc", "flat", width=40, height=90) is picture


def test_flip_mirrors(tmp_path: Path) -> None:
    half = disc()
    half.paste((0, 0, 0, 0), (96, 0, 192, 192))
    half.putpixel((191, 96), (0, 0, 255, 255))
    save_sprites(tmp_path, "noto", {"half": half})
    cache = SpriteCache(tmp_path)
    plain = np.asarray(cache.sized("half", "noto", width=64, height=64))
    mirrored = np.asarray(cache.sized("half", "noto", width=64, height=64, flip=True))
    assert np.array_equal(plain, mirrored[:, ::-1])


def test_missing_cache_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="prima scenes build"):
        SpriteCache(tmp_path).whole("disc", "fluent")


def test_missing_icon_is_named(tmp_path: Path) -> None:
    save_sprites(tmp_path, "fluent", {"disc": disc()})
    with pytest.raises(AssetError, match="'unicorn'"):
        SpriteCache(tmp_path).whole("unicorn", "fluent")


def test_drawings_that_are_not_square_are_padded() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 8"><rect width="16" height="8"/></svg>'
    picture = rasterise(svg, 64)
    assert picture.size == (64, 64)
    assert trim(picture).size == (64, 32)


def test_trim_keeps_an_empty_picture() -> None:
    assert trim(Image.new("RGBA", (5, 4))).size == (5, 4)


def test_fit_scales_up_and_down() -> None:
    assert fit(Image.new("RGBA", (10, 20)), width=100, height=100).size == (50, 100)
    assert fit(Image.new("RGBA", (10, 20)), width=5, height=100).size == (5, 10)


def test_large_sprites_that_are_missing_name_the_command_that_makes_them() -> None:
    with pytest.raises(AssetError, match="prima scenes build --large"):
        SpriteCache(large_cache_dir()).icons("fluent")
