"""`prima paint` with another program's folder of models, in which a public accelerator lies."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.tiny_qwen import write_tiny_qwen

from allaprima.cli.app import run
from allaprima.core.picture_files import read_request
from allaprima.core.request import GenerationRequest, LoraUse

LIGHTNING = "Qwen-Image-2512-Lightning-4steps-V1.0-bf16"


def write_lora(path: Path, seed: int) -> None:
    layer, draw = "transformer_blocks.0.attn.to_q", torch.Generator().manual_seed(seed)
    halves = {
        f"{layer}.lora_down.weight": torch.randn(4, 32, generator=draw),
        f"{layer}.lora_up.weight": torch.randn(32, 4, generator=draw) / 16,
    }
    save_file(halves, path, {"modelspec.architecture": "qwen-image/lora"})


def test_what_lies_beside_the_base_is_worn_told_kept_and_taken_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no models/lora
    models = tmp_path / "ComfyUI" / "models"
    (models / "loras").mkdir(parents=True)
    write_tiny_qwen(models / "diffusers" / "tiny-qwen")
    write_lora(models / "loras" / f"{LIGHTNING}.safetensors", seed=0)
    write_lora(models / "loras" / "ink.safetensors", seed=1)

    def paint(name: str, *options: str) -> tuple[GenerationRequest, str]:
        command = ["paint", "--models-dir", str(models), "--base", "tiny-qwen", *options]
        assert run([*command, "-o", str(tmp_path / name)]) == 0
        return read_request(tmp_path / name), capsys.readouterr().err

    use, small = LoraUse(name=LIGHTNING), ("--size", "32x32")
    quick, told = paint("quick.png", "a cat", *small)
    assert (quick.loras, quick.steps, quick.guidance, quick.schedule) == ((use,), 4, 1.0, "lightning")
    assert "Qwen-Image-Lightning, recognised by its name" in told
    both, _ = paint("both.png", "--from", str(tmp_path / "quick.png"), "--lora", "ink")
    assert (both.loras, both.schedule) == ((use, LoraUse(name="ink")), "lightning")
    plain, told = paint("plain.png", "--from", str(tmp_path / "both.png"), "--no-turbo", "--steps", "2")
    assert (plain.loras, plain.steps, plain.schedule) == ((LoraUse(name="ink"),), 2, None)
    assert (plain.guidance, "Lightning" in told) == (4.0, False)
