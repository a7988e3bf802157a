"""`prima paint` with a base of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.tiny_qwen import write_tiny_qwen

from allaprima.cli.app import run
from allaprima.cli.paint import parse_lora
from allaprima.core.errors import RequestError
from allaprima.core.picture_files import read_request
from allaprima.core.request import GenerationRequest, LoraUse


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    write_tiny_qwen(models / "diffusers" / "tiny")
    return models


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_not_given_is_the_bases_own_and_repaints(models: Path) -> None:
    options = ("--models-dir", str(models), "--size", "32x48")
    given = ("--base", "tiny", "--schedule", "lightning", "--seed", "3", "--count", "2")
    assert run(["paint", "a cat", *options, *given, "-o", "."]) == 0
    expected = GenerationRequest(
        prompt="a cat", base="tiny", schedule="lightning", steps=4, guidance=1.0, width=32, height=48, seed=3
    )
    assert read_request(Path("a-cat-3.png")) == expected
    with Image.open("a-cat-3.png") as first, Image.open("a-cat-4.png") as second:
        assert first.size == (32, 48)
        assert first.tobytes() != second.tobytes()
    assert run(["paint", "--models-dir", str(models), "--from", "a-cat-3.png", "-o", "again.png"]) == 0
    assert Path("again.png").read_bytes() == Path("a-cat-3.png").read_bytes()


def test_a_size_that_the_base_does_not_paint_is_told(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(["paint", "a cat", "--models-dir", str(models), "--base", "tiny", "--size", "40x40", "--json"])
        == 2
    )
    captured = capsys.readouterr()
    assert "got size 40x40; expected sides that are multiples of 16" in captured.err
    assert "multiples of 16" in json.loads(captured.out)["error"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--base", "nothing"], "got base 'nothing'; expected vignette, a model folder"),
        (["--base", ""], "the base is empty"),
        (["--schedule", "fast"], "got the schedule 'fast'; expected none"),
        (["--lora", "ink:much"], "got --lora 'ink:much'; expected NAME or NAME:WEIGHT"),
        (["--lora", "ink:99"], "got weight 99.0 for LoRA 'ink'; expected -10 to 10"),
        (["--lora", "ink", "--lora", "ink:2"], "got the LoRA 'ink' twice"),
    ],
)
def test_what_cannot_be_painted_is_told(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["paint", "a cat", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_loras_are_named_with_or_without_a_weight() -> None:
    assert parse_lora("ink") == LoraUse(name="ink", weight=1.0)
    assert parse_lora("people/ink v2:-0.5") == LoraUse(name="people/ink v2", weight=-0.5)
    with pytest.raises(RequestError, match="got LoRA name ''"):
        parse_lora(":1")
