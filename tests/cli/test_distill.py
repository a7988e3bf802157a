"""`prima distill`: mistakes are one sentence, the result is a line of JSON."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
import typer
from tests.lab.distill.tiny import write_cache
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.cli.distill import app
from allaprima.lab.distill.methods.registry import METHODS
from allaprima.lab.training.checkpoint import read_tensors


def test_it_asks_for_an_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["distill", "turbo", "--run", str(tmp_path)]) == 2
    assert "expected one, such as --budget 30m" in capsys.readouterr().err


def test_an_unknown_method_is_refused(tmp_path: Path) -> None:
    assert run(["distill", "magic", "--run", str(tmp_path), "--budget", "1m"]) == 2


@pytest.mark.parametrize(
    ("method", "option"),
    [
        ("turbo", "--arm=adversarial"),
        ("turbo", "--sampler=lcm"),
        ("lcm", "--fake-updates=3"),
        ("add", "--coupling=data"),
        ("dmd", "--penalty=3"),
        ("dmd", "--features=pixel"),
        ("paths", "--updates=3"),
        ("turbo", "--rule=straight"),
    ],
)
def test_an_option_that_does_nothing_is_refused(
    method: str, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["distill", method, "--run", str(tmp_path), option]) == 2
    assert f"No such option: {option.partition('=')[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("method", METHODS)
def test_every_setting_of_a_method_is_an_option_with_its_default(method: str) -> None:
    command = typer.main.get_command(app).commands[method]  # type: ignore[attr-defined]
    defaults = {option.name: option.default for option in command.params}
    for field in fields(METHODS[method]):
        if field.init:
            assert defaults[field.name] == field.default, field.name


def test_paths_of_any_number_of_stops(tmp_path: Path) -> None:
    weights = write_tiny_vignette(tmp_path / "weights")
    cache, paths = write_cache(tmp_path / "cache"), tmp_path / "paths"
    walk = ["distill", "paths", "--run", str(paths), "--count", "2", "--batch", "2", "--steps", "5"]
    assert run([*walk, "--weights", str(weights), "--cache", str(cache)]) == 0
    assert json.loads((paths / "paths.json").read_text(encoding="utf-8"))["steps"] == 60


def test_paths_then_turbo_on_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = write_tiny_vignette(tmp_path / "weights")
    cache = write_cache(tmp_path / "cache")
    common = ["--weights", str(weights), "--cache", str(cache), "--batch", "2", "--json"]
    paths = tmp_path / "paths"
    walk = ["distill", "paths", "--run", str(paths), "--count", "4", "--steps", "2", *common]
    assert run([*walk, "--teacher-steps", "7"]) == 2
    assert "expected a multiple of it" in capsys.readouterr().err
    assert run([*walk, "--teacher-steps", "8"]) == 0
    assert json.loads((paths / "paths.json").read_text(encoding="utf-8"))["steps"] == 8
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["stops"] == 2
    training = ["distill", "turbo", "--run", str(tmp_path / "run"), "--paths", str(paths), "--steps", "2"]
    assert run([*training, "--updates", "2", "--guidance", "9", *common]) == 2
    assert "got paths of guidance 4.0 and guidance 9.0" in capsys.readouterr().err
    assert run([*training, "--updates", "2", "--sample-every", "1", *common]) == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert Path(facts["lora"]).is_file()
    assert facts["updates"] == 2
    assert run([*training, "--updates", "3", *common]) == 2
    assert "add --resume" in capsys.readouterr().err


@pytest.mark.parametrize(("method", "sampler"), [("add", "lcm"), ("dmd", "euler")])
def test_each_method_is_painted_with_as_it_was_trained(tmp_path: Path, method: str, sampler: str) -> None:
    weights, cache = write_tiny_vignette(tmp_path / "weights"), write_cache(tmp_path / "cache")
    words = [
        "distill",
        method,
        "--run",
        str(tmp_path / "run"),
        "--weights",
        str(weights),
        "--cache",
        str(cache),
    ]
    assert run([*words, "--steps", "2", "--updates", "1", "--sample-every", "1", "--batch", "2"]) == 0
    assert read_tensors(tmp_path / "run" / "best.safetensors")[1]["allaprima.sampler"] == sampler
