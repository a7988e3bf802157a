"""`prima plan`, and the limit that `prima paint` and `prima serve` keep to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.cli.serve import Makers
from allaprima.core.errors import OutOfMemoryError
from allaprima.paint.memory.thrifty import Thrifty


def test_the_plans_are_told_before_anything_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--device", "cpu", "--memory", "24", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[2:22].strip() for line in lines[:2]] == ["resident", "resident, tiled"]
    assert lines[0].startswith("* ")
    told = json.loads(lines[-1])
    assert (told["base"], told["device"], told["chosen"]["plan"]) == ("vignette", "cpu", "resident")
    chosen = told["chosen"]
    assert set(chosen["resident"]) == {"text encoder", "denoiser", "autoencoder"}
    assert chosen["peak_bytes"] == max(chosen["bytes_by_moment"].values())
    assert len(told["plans"]) == 2


@pytest.mark.parametrize(
    ("memory", "told"),
    [
        ("0.01", "expected at least"),
        ("0", "more than 0 GiB"),
        ("nan", "more than 0 GiB"),
        ("inf", "fewer than infinity"),
    ],
)
@pytest.mark.parametrize("command", [["plan"], ["paint", "a cat"]], ids=["plan", "paint"])
def test_too_little_is_told(
    command: list[str], memory: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--memory", memory]) == 2
    assert told in capsys.readouterr().err


def test_the_studio_keeps_to_its_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = write_tiny_vignette(tmp_path)
    painter = Makers(names=("vignette",), weights=weights, device="cpu", memory=24.0).load("vignette")
    assert isinstance(painter.base, Thrifty)
    with pytest.raises(OutOfMemoryError, match="expected at least"):
        Makers(names=("vignette",), weights=weights, device="cpu", memory=0.01).load("vignette")
    assert run(["serve", "--memory", "-1"]) == 2
    assert "more than 0 GiB" in capsys.readouterr().err
