"""`--layout`: from the command line and from files, told in JSON, painted again, refused in a sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.cli.layout_option import MAX_BYTES, open_layout
from allaprima.core.errors import RequestError
from allaprima.core.layout_json import layout_from_json
from allaprima.core.picture_files import import_request, read_request

CAT = {"kind": "cat", "box": [0.1, 0.4, 0.5, 0.9]}
TEXT = json.dumps([CAT])
LAYOUT = layout_from_json([CAT])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vignette(tmp_path_factory.mktemp("reader"), reads_layout=True)


def test_a_layout_is_typed_or_lies_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scene.json").write_text("\ufeff" + TEXT, encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    for said in (TEXT, f"\n {TEXT}", str(tmp_path / "scene.json"), "~/scene.json"):
        assert open_layout(said) == LAYOUT


def test_what_is_no_layout_is_refused_with_its_place(tmp_path: Path) -> None:
    files = {"words.json": b"a cat", "bytes.json": b"\xff\xfe\x00", "large.json": b" " * (MAX_BYTES + 1)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe")
    for said in (
        *map(str, tmp_path.iterdir()),
        str(tmp_path),
        "nowhere.json",
        "",
        "x" * 5000,
        "{}",
        "[1]",
        "\0",
    ):
        with pytest.raises(RequestError, match="expected") as caught:
            open_layout(said)
        assert caught.value.field == "layout"
        assert len(str(caught.value)) < 600


def test_a_picture_is_painted_with_it_and_again(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["--weights", str(weights), "--json"]
    words = ["paint", "a cat", "--seed", "7", "--steps", "1", *common]
    assert run([*words, "--layout", TEXT, "--no-complete-layout", "-o", "told.png"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (
        told["request"]["layout"]
        == told["painted_layout"]["things"]
        == [{**CAT, "layer": "subject", "number": 0}]
    )
    assert (told["request"]["complete_layout"], told["painted_layout"]["whole"]) == (False, [])
    assert run([*words, "-o", "plain.png"]) == 0
    plain = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "layout" not in plain["request"]
    assert {"cat"} < {thing["kind"] for thing in plain["painted_layout"]["things"]}
    assert run(["paint", "--from", "told.png", *common, "-o", "again.png"]) == 0
    moved = json.dumps([{**CAT, "box": [0.5, 0.4, 0.9, 0.9]}])
    assert run(["paint", "--from", "told.png", *common, "--layout", moved, "-o", "moved.png"]) == 0
    files = {name: Path(f"{name}.png").read_bytes() for name in ("told", "plain", "again", "moved")}
    assert files["told"] == files["again"]
    assert len(set(files.values())) == 3
    assert read_request(Path("told.png")).layout == LAYOUT
    capsys.readouterr()
    assert run(["show", "told.png", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert shown["painted_layout"] == told["painted_layout"]
    assert import_request(Path("told.png")).painted_layout is not None


def test_a_layout_that_is_none_ends_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["paint", "a cat", "--layout", '[{"kind": "cat", "box": [0, 0, 1e308, 1]}]']) == 2
    assert "expected numbers from -2 to 3" in capsys.readouterr().err
