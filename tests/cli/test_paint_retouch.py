"""Painting and retouching in one command, and again from the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_upscaler import write_upscaler
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.core.picture_files import read_history, read_request
from allaprima.core.retouch import Repaint, Upscale


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


def test_a_jpeg_of_a_cut_out_is_refused_before_anything_is_painted(
    models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    load = ["--weights", "absent", "--models-dir", models]  # which would be found missing next
    assert run(["paint", "a cat", *load, "--cut-out", "--format", "jpeg"]) == 2
    assert "got a picture with transparent parts for a JPEG file" in capsys.readouterr().err


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


def test_what_is_enlarged_is_painted_over_by_a_base_that_paints_that_size(
    models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_sdxl(tmp_path / "models" / "diffusers" / "sdxl")
    words = ["paint", "a cat", "--base", "sdxl", "--models-dir", models, "--size", "32x32", "--steps", "4"]
    words += ["--seed", "3", "--upscale", "2", "--upscaler", "tiny"]
    assert run([*words, "-o", "large.png"]) == 0
    assert run([*words, "-o", "over.png", "--hires-strength", "0.5"]) == 0
    large, over = look("large.png"), look("over.png")
    assert large[0] == over[0] == (64, 64)
    assert large[1] != over[1]
    assert read_history(Path("over.png").read_bytes()).operations == (
        Upscale(upscaler="tiny"),
        Repaint(strength=0.5),
    )
    assert read_request(Path("over.png")).width == 32
    assert run(["paint", "--from", "over.png", "--models-dir", models, "-o", "again.png"]) == 0
    assert look("again.png") == over
    assert run(["retouch", "large.png", "--from", "over.png", "--models-dir", models]) == 2
    assert "expected it where a base is loaded" in capsys.readouterr().err


def test_vignette_says_that_it_cannot_paint_over_what_is_enlarged(
    weights: Path, models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "paint",
        "a cat",
        "--steps",
        "2",
        "--weights",
        str(weights),
        "--models-dir",
        models,
        "-o",
        "a.png",
    ]
    assert run([*words, "--hires-strength", "0.3"]) == 2
    assert "--hires-strength without --upscale" in capsys.readouterr().err
    assert run([*words, "--upscale", "2", "--upscaler", "tiny", "--hires-strength", "0.3"]) == 0
    assert "vignette paints one size only" in capsys.readouterr().err
    assert read_history(Path("a.png").read_bytes()).operations == (Upscale(upscaler="tiny"),)


def test_an_upscaler_that_is_missing_is_told_before_anything_is_painted(
    weights: Path, models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["paint", "a cat", "--steps", "2", "--weights", str(weights)]
    assert run([*words, "--upscale", "2", "--upscaler", "absent"]) == 2
    assert "expected vignette" in capsys.readouterr().err
    assert run([*words, "--upscaler", "tiny"]) == 2
    assert "--upscaler without --upscale" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == [models]
