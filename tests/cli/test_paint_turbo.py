"""`prima paint` with a turbo LoRA beside the weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.tiny_turbo import FOUR_STEPS, write_turbo
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.core.picture_files import read_request
from allaprima.core.request import GenerationRequest, LoraUse

TURBO = LoraUse(name="turbo")


def test_the_command_wears_it_says_so_and_repaints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = write_tiny_vignette(tmp_path / "weights")
    write_turbo(weights / "loras" / "turbo.safetensors", FOUR_STEPS)
    write_turbo(tmp_path / "mine" / "ink.safetensors", {}, seed=1)
    common = ["paint", "--weights", str(weights), "--lora-dir", str(tmp_path / "mine")]

    def paint(name: str, *options: str) -> tuple[GenerationRequest, str]:
        assert run([*common, *options, "-o", str(tmp_path / name)]) == 0
        return read_request(tmp_path / name), capsys.readouterr().err

    def source(name: str) -> tuple[str, str]:
        return "--from", str(tmp_path / name)

    quick, told = paint("quick.png", "cat", "--seed", "3")
    assert (quick.loras, quick.steps, quick.guidance) == ((TURBO,), 4, 1.0)
    assert told.startswith(
        "prima: the LoRA 'turbo' was trained to paint in 4 steps without guidance\nseed 3; "
    )
    plain, told = paint("plain.png", "cat", "--seed", "3", "--no-turbo", "--steps", "2")
    assert (plain.loras, plain.steps, plain.guidance) == ((), 2, 4.0)
    assert told.startswith("seed 3; ")
    for name in ("quick.png", "plain.png"):
        paint("again.png", *source(name))
        assert (tmp_path / "again.png").read_bytes() == (tmp_path / name).read_bytes()

    paint("off.png", *source("quick.png"), "--no-turbo", "--steps", "2")
    assert (tmp_path / "off.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    assert paint("still.png", *source("plain.png"), "--no-turbo")[0] == plain
    inked, _ = paint("inked.png", *source("quick.png"), "--lora", "ink")
    assert (inked.loras, inked.steps) == ((TURBO, LoraUse(name="ink")), 4)
    off, told = paint("zero.png", "cat", "--lora", "turbo:0", "--steps", "1")
    assert (off.loras, off.guidance) == ((LoraUse(name="turbo", weight=0.0),), 4.0)
    assert told.startswith("seed ")
    _, told = paint("against.png", "cat", "--negative", "rain", "--steps", "1", "--lora", "turbo")
    assert "; 1 is asked for" in told
    assert "prima: the negative prompt does nothing" in told
