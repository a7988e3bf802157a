"""Painting and retouching in one command, and again from the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.tiny_upscaler import write_upscaler
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.core.picture_files import read_history, read_request
from allaprima.core.retouch import Upscale


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vignette(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_upscaler(tmp_path / "models" / "ESRGAN" / "tiny.safetensors")
    return "models"


def look(path: str) -> tuple[tuple[int, int], bytes]:
    with Image.open(path) as image:
        return image.size, image.tobytes()


def test_a_painted_picture_is_enlarged_and_so_again_from_its_file(
    weights: Path, models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    load = ["--weights", str(weights), "--models-dir", models]
    words = ["paint", "a cat", "--steps", "2", "--seed", "7", "--count", "2", *load]
    assert run([*words, "--upscale", "2", "--upscaler", "tiny", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["paths"] == ["a-cat-7.png", "a-cat-8.png"]
    assert told["retouch"] == [{"operation": "upscale", "scale": 2.0, "upscaler": "tiny"}]
    assert told["timings_ms"]["retouch"] > 0
    size, pixels = look("a-cat-7.png")
    assert size == (512, 512)
    assert read_history(Path("a-cat-7.png").read_bytes()).operations == (Upscale(upscaler="tiny"),)
    assert read_request(Path("a-cat-7.png")).width == 256

    assert run(["paint", "--from", "a-cat-7.png", *load, "-o", "again.png"]) == 0
    assert look("again.png") == (size, pixels)
    assert run(["paint", "--from", "a-cat-7.png", *load, "-o", "plain.png", "--no-retouch"]) == 0
    assert look("plain.png")[0] == (256, 256)
    other = ["--upscale", "1.5", "--upscaler", "tiny"]
    assert run(["paint", "--from", "a-cat-7.png", *load, "-o", "other.png", *other]) == 0
    assert look("other.png")[0] == (384, 384)
    assert (
        run(["retouch", "plain.png", "--from", "a-cat-7.png", "--models-dir", models, "-o", "late.png"]) == 0
    )
    assert look("late.png") == (size, pixels)


def test_an_upscaler_that_is_missing_is_told_before_anything_is_painted(
    weights: Path, models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["paint", "a cat", "--steps", "2", "--weights", str(weights)]
    assert run([*words, "--upscale", "2", "--upscaler", "absent"]) == 2
    assert "expected vignette" in capsys.readouterr().err
    assert run([*words, "--upscaler", "tiny"]) == 2
    assert "--upscaler without --upscale" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == [models]
