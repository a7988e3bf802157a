from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from allaprima.core.errors import AssetError
from allaprima.lab.scenes import build
from allaprima.lab.scenes.build import build_sprites, fill_outline, wanted_icons
from allaprima.lab.scenes.sprites import SpriteCache, default_cache_dir, fit, rasterise, save_sprites, trim


def disc(size: int = 192) -> Image.Image:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="2" fill="red"/></svg>'
    return rasterise(svg, size)


def write_package(root: Path, names: list[str]) -> None:
    folder = root / "@iconify-json" / "fluent-emoji"
    folder.mkdir(parents=True)
    body = '<rect x="4" y="8" width="24" height="16" fill="#336699"/>'
    icons = {name: {"body": body} for name in names}
    (folder / "icons.json").write_text(
        json.dumps({"icons": icons, "width": 32, "height": 32}), encoding="utf-8"
    )


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


def test_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLAPRIMA_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("ALLAPRIMA_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "allaprima"


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


def test_build_reads_the_icon_package(tmp_path: Path) -> None:
    write_package(tmp_path / "npm", list(wanted_icons()))
    seen: list[tuple[str, int, int]] = []
    made = build_sprites(tmp_path / "npm", tmp_path, lambda *step: seen.append(step), styles=["fluent"])
    assert made == {"fluent": len(wanted_icons())}
    assert seen[-1] == ("fluent", len(wanted_icons()), len(wanted_icons()))
    assert SpriteCache(tmp_path).whole("cat-face", "fluent").size == (144, 96)


def test_build_names_what_a_package_lacks(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="@iconify-json/fluent-emoji@"):
        build_sprites(tmp_path, tmp_path, styles=["fluent"])
    write_package(tmp_path, ["cat-face"])
    with pytest.raises(AssetError, match="has no icon"):
        build_sprites(tmp_path, tmp_path, styles=["fluent"])


def test_install_without_npm_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssetError, match="--npm-root"):
        build.install_packages(tmp_path, build.icon_packages())


def test_outline_is_filled_white_and_stays_black() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        '<circle cx="16" cy="16" r="12" fill="none" stroke="black" stroke-width="2" stroke-dasharray="30 1"/></svg>'
    )
    filled = fill_outline(rasterise(svg))
    assert filled.getpixel((96, 96)) == (255, 255, 255, 255)
    assert filled.getpixel((2, 2)) == (255, 255, 255, 0)
    assert filled.getpixel((96, 24)) == (0, 0, 0, 255)
