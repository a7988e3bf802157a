"""Icons become sprites: what is read from a package, what it lacks, line drawings filled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from allaprima.core.errors import AssetError
from allaprima.lab.scenes import build
from allaprima.lab.scenes.build import build_sprites, fill_outline, wanted_icons
from allaprima.lab.scenes.sprites import SpriteCache, rasterise


def write_package(root: Path, names: list[str]) -> None:
    folder = root / "@iconify-json" / "fluent-emoji"
    folder.mkdir(parents=True)
    body = '<rect x="4" y="8" width="24" height="16" fill="#336699"/>'
    icons = {name: {"body": body} for name in names}
    (folder / "icons.json").write_text(
        json.dumps({"icons": icons, "width": 32, "height": 32}), encoding="utf-8"
    )


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
