from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.tiny_files import make_split_pipeline, write_names, write_split

from allaprima.cli.app import run


def test_inspect_says_what_a_file_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write_split(tmp_path, make_split_pipeline(), "scale_weight")
    assert run(["base", "inspect", "tiny_scale_weight", "--models-dir", str(tmp_path), "--json"]) == 0
    *lines, told = capsys.readouterr().out.splitlines()
    assert "weights:       fp8 scaled" in lines
    assert json.loads(told) | {"num_tensors": 0, "num_bytes": 0} == {
        "path": str(files["transformer"]), "kind": "transformer", "name": "Qwen-Image's transformer",
        "families": ["qwen-image"], "quantization": "fp8 scaled", "num_tensors": 0, "num_bytes": 0,
        "parts": {"text encoder": str(files["text_encoder"]), "autoencoder (VAE)": str(files["vae"])},
        "missing": [], "refusal": "", "paints": True,
    }  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"\0" * 50, b"GGUF" + b"\xff" * 40, b"PK\x03\x04" + b"\0" * 50])
def test_a_file_that_is_none_is_told_without_a_traceback(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    assert run(["base", "inspect", str(tmp_path / "x.safetensors")]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert "x.safetensors" in told.err


def test_a_lora_is_told_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["base", "inspect", str(write_names(tmp_path / "x", "lora_unet_x.lora_down.weight"))]) == 0
    assert "but:           it is a LoRA, give it with --lora" in capsys.readouterr().out
