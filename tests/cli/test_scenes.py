from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from allaprima.cli.app import run


def test_sheet_without_sprites_says_how_to_build_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALLAPRIMA_CACHE", str(tmp_path))
    assert run(["scenes", "sheet", "-o", str(tmp_path / "sheet.png"), "--count", "1", "--json"]) == 2
    told = capsys.readouterr()
    assert "prima scenes build" in told.err
    assert json.loads(told.out.splitlines()[-1])["kind"] == "AssetError"


@pytest.mark.parametrize("count", ["0", "401"])
def test_sheet_refuses_counts_it_cannot_hold(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scenes", "sheet", "--count", count]) == 2
    assert "expected 1 to 400" in capsys.readouterr().err


def test_build_then_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from allaprima.lab.scenes.build import wanted_icons

    monkeypatch.setenv("ALLAPRIMA_CACHE", str(tmp_path / "cache"))
    package = tmp_path / "npm" / "@iconify-json" / "fluent-emoji"
    package.mkdir(parents=True)
    icons = {name: {"body": '<circle cx="16" cy="16" r="12" fill="#cc6633"/>'} for name in wanted_icons()}
    text = json.dumps({"icons": icons, "width": 32, "height": 32})
    (package / "icons.json").write_text(text, encoding="utf-8")

    built = run(["scenes", "build", "--npm-root", str(tmp_path / "npm"), "--style", "fluent", "--json"])
    assert built == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["sprites"] == {"fluent": len(icons)}

    sheet = tmp_path / "sheet.png"
    assert run(["scenes", "sheet", "-o", str(sheet), "--count", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["file"] == str(sheet)
    with Image.open(sheet) as picture:
        assert picture.format == "PNG"

    table = tmp_path / "renders.safetensors"
    assert run(["scenes", "layouts", "-o", str(table), "--backgrounds", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["file"], told["bytes"]) == (str(table), table.stat().st_size)
    assert told["things"] > 16 * 3


@pytest.mark.parametrize("backgrounds", ["0", "1001"])
def test_layouts_refuse_numbers_of_backgrounds_that_make_no_table(
    backgrounds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["scenes", "layouts", "--backgrounds", backgrounds]) == 2
    assert "expected 1 to 1000" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALLAPRIMA_CACHE", str(tmp_path))
    assert run(["scenes", "build", "--npm-root", str(tmp_path / "nowhere")]) == 2
    assert "@iconify-json/fluent-emoji" in capsys.readouterr().err
