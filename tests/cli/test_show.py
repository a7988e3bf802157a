from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from allaprima.cli.app import run
from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest, LoraUse

REQUEST = GenerationRequest(
    prompt="一只猫, on a rooftop",
    seed=7,
    guidance=2.5,
    loras=(LoraUse(name="ink", weight=0.8), LoraUse(name="fog")),
)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "cat.jpg"
    path.write_bytes(Picture(request=REQUEST, width=8, height=8, rgb=bytes(192)).encode("jpeg"))
    return path


def test_every_value_is_shown(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(picture)]) == 0
    lines = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    assert {name: value.strip() for name, value in lines.items()} == {
        "prompt": "一只猫, on a rooftop", "negative prompt": "", "width": "256", "height": "256", "steps": "50",
        "guidance": "2.5", "seed": "7", "base": "vignette", "quality": "high",
        "loras": "ink:0.8, fog:1", "schedule": "",
    }  # fmt: skip


def test_json_ends_stdout(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(picture), "--json"]) == 0
    data = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert data == {"path": str(picture), "request": REQUEST.to_json(), "remarks": []}


def test_several_pictures_are_shown_and_what_cannot_be_is_told(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing.png"
    assert run(["show", str(picture), str(missing), str(picture), "--json"]) == 2
    out, err = capsys.readouterr()
    data = json.loads(out.splitlines()[-1])
    assert [shown["path"] for shown in data["pictures"]] == [str(picture), str(missing), str(picture)]
    assert [shown.get("request") for shown in data["pictures"]] == [
        REQUEST.to_json(),
        None,
        REQUEST.to_json(),
    ]
    assert "does not exist" in data["pictures"][1]["error"]
    assert err.splitlines() == [
        f"prima: {missing} does not exist; expected a picture file",
        "prima: 1 of 3 pictures could not be shown",
    ]
    assert run(["show", str(picture), str(picture)]) == 0
    assert capsys.readouterr().out.count("一只猫") == 2


def test_what_infotext_says_and_nothing_here_follows_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PngInfo()
    text.add_text("parameters", "a cat\nSteps: 5, Seed: -1, Size: 8x8, Clip skip: 2")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=text)
    assert run(["show", str(tmp_path / "a.png"), "--json"]) == 0
    out, err = capsys.readouterr()
    remarks = json.loads(out.splitlines()[-1])["remarks"]
    assert err.splitlines() == [f"prima: {remark}" for remark in remarks]
    assert [remark[:17] for remark in remarks] == ["Seed is left out:", "not followed here"]


def test_what_it_was_painted_over_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "over.png"
    over: dict[str, Any] = {"init_strength": 0.5, "inpaint_area": "left=64"}
    path.write_bytes(Picture(request=REQUEST, width=8, height=8, rgb=bytes(192), **over).encode())
    assert run(["show", str(path), "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[-1] == "painted over:    another picture (strength 0.5, left=64)"
    assert json.loads(last)["init"] == {"strength": "0.5", "area": "left=64"}


def test_a_file_without_a_request_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(tmp_path / "missing.png")]) == 2
    assert capsys.readouterr().err.endswith("missing.png does not exist; expected a picture file\n")


@pytest.mark.parametrize("command", [["--help"], ["show"], ["paint", "--help"], ["paint", ""]])
def test_what_paints_nothing_waits_for_no_torch(picture: Path, command: list[str]) -> None:
    arguments = [*command, str(picture)] if command == ["show"] else command
    code = f"""
import sys
from allaprima.cli.app import run
status = run({arguments!r})
assert not {{"torch", "diffusers", "numpy"}} & set(sys.modules), "too much was imported"
sys.exit(status)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == (2 if command == ["paint", ""] else 0), ran.stderr
