"""`prima plan`, and the limit that `prima paint` and `prima serve` keep to."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.cli.serve import Makers
from allaprima.core.errors import OutOfMemoryError
from allaprima.paint.memory.planned_base import PlannedBase
from allaprima.paint.quantization import rounding


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
        ("inf", "fewer than 1,048,576"),
        ("1e300", "fewer than 1,048,576"),
    ],
)
@pytest.mark.parametrize("command", [["plan"], ["paint", "a cat"]], ids=["plan", "paint"])
def test_too_little_is_told(
    command: list[str], memory: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--memory", memory]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("size", ["0x0", "0x64", "64x0", "80000x80000", "256x4097"])
def test_a_size_that_nothing_paints_is_told(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--device", "cpu", "--size", size]) == 2
    assert capsys.readouterr().err == f"prima: got size {size}; expected sides of 1 to 4096 pixels\n"


def test_what_is_said_to_be_enough_on_a_gpu_is_enough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["plan", "--device", "cuda", "--base", str(write_tiny_sdxl(tmp_path / "sdxl")), "--memory"]
    assert run([*command, "0.4"]) == 2
    told = re.search(
        r"got (\S+) GiB of memory for cuda; expected at least (\S+) GiB", capsys.readouterr().err
    )
    assert told is not None
    assert told[1] == "0.40"
    assert run([*command, told[2], "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert "reserved:  0.50 GiB for the driver, counted in the list above" in lines
    chosen = json.loads(last)["chosen"]
    assert chosen["needed_bytes"] == chosen["peak_bytes"] + 2**29


def test_rounded_weights_are_planned_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rounding, "MIN_NUMBERS", 512)
    command = ["plan", "--device", "cuda", "--precision", "bf16", "--json", "--base"]
    resident = []
    for more in ([], ["--quantize", "int8"]):
        assert run([*command, str(write_tiny_sdxl(tmp_path / "sdxl")), *more]) == 0
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert told["quantize"] == (more[-1] if more else None)
        resident.append(told["chosen"]["resident"])
    assert resident[1]["denoiser"] < resident[0]["denoiser"]
    assert resident[1]["autoencoder"] == resident[0]["autoencoder"]
    assert run(["plan", "--quantize", "int8"]) == 2
    assert "for vignette, whose weights are small" in capsys.readouterr().err


def test_the_studio_keeps_to_its_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = write_tiny_vignette(tmp_path)
    painter = Makers(specs={"vignette": "vignette"}, weights=weights, device="cpu", memory_gib=24.0).load(
        "vignette"
    )
    assert isinstance(painter.base, PlannedBase)
    with pytest.raises(OutOfMemoryError, match="expected at least"):
        Makers(specs={"vignette": "vignette"}, weights=weights, device="cpu", memory_gib=0.01).load(
            "vignette"
        )
    assert run(["serve", "--memory", "-1"]) == 2
    assert "more than 0 GiB" in capsys.readouterr().err
