"""What is wrong with a file whatever the base is told without one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.summary import read_summary

KEY = "transformer.transformer_blocks.0.attn.to_q"
WHOLE = {f"{KEY}.lora_A.weight": torch.ones(4, 32), f"{KEY}.lora_B.weight": torch.ones(32, 4)}


def test_a_whole_file_has_an_outline(tmp_path: Path) -> None:
    save_file(WHOLE, tmp_path / "a.safetensors")
    summary = read_summary(tmp_path / "a.safetensors")
    assert (summary.ranks, summary.methods) == ({4: 1}, {"LoRA": 1})


@pytest.mark.parametrize("kept", ["A", "B"])
def test_half_a_pair_is_refused(kept: str, tmp_path: Path) -> None:
    tensors = {**WHOLE, f"{KEY.replace('to_q', 'to_k')}.lora_{kept}.weight": torch.ones(4, 4)}
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(LoraError, match=r"1 of 2 layers have only one of their two matrices \(.*to_k"):
        read_summary(tmp_path / "a.safetensors")


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    save_file({}, tmp_path / "a.safetensors")
    with pytest.raises(LoraError, match="holds no tensor"):
        read_summary(tmp_path / "a.safetensors")


@pytest.mark.parametrize("config", ["{", '{"r": "two"}', "[]"])
def test_a_configuration_beside_it_that_cannot_be_read_is_refused(config: str, tmp_path: Path) -> None:
    save_file(WHOLE, tmp_path / "pytorch_lora_weights.safetensors")
    (tmp_path / "adapter_config.json").write_text(config)
    with pytest.raises(LoraError, match="adapter_config"):
        read_summary(tmp_path)


def test_nonsense_in_the_metadata_is_told_with_the_files_name(tmp_path: Path) -> None:
    save_file(WHOLE, tmp_path / "a.safetensors", {"allaprima.sigmas": "[1,"})
    with pytest.raises(LoraError, match=r"a\.safetensors: got allaprima\.sigmas"):
        read_summary(tmp_path / "a.safetensors")
