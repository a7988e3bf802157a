from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
    assert data == {"path": str(picture), "request": REQUEST.to_json()}


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
