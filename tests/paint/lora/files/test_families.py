from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save as to_bytes
from tests.paint.lora.files.bad_files import (
    NETWORKS,
    Q_DOWN,
    Q_UP,
    TENSORS,
    refused,
)
from tests.tiny_loras import make_updates, sdxl_networks, spell

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.reader import read_lora


def test_a_lora_for_another_kind_of_network_names_both(tmp_path: Path) -> None:
    unet = to_bytes(spell(make_updates(sdxl_networks(), r"^unet.*attn2\.to_[qk]$"), "kohya, SDXL"))
    message = refused(tmp_path / "a.safetensors", unet)
    assert "U-Net" in message
    assert "Qwen-Image" in message


@pytest.mark.parametrize(
    ("declared", "title"),
    [
        ("stable-diffusion-xl-v1-base/lora", "SDXL"),
        ("stable-diffusion-v1/lora", "Stable Diffusion 1"),
        ("flux-1-dev/lora", "FLUX"),
    ],
)
def test_a_lora_declared_for_another_base_names_both(tmp_path: Path, declared: str, title: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_bytes(TENSORS, {"modelspec.architecture": declared}))
    with pytest.raises(LoraError, match=f"{title}.*the base here is Qwen-Image"):
        read_lora(path, NETWORKS, family="qwen-image")


def test_a_lora_of_another_width_names_both(tmp_path: Path) -> None:
    wide = {Q_DOWN: torch.ones(2, 3072), Q_UP: torch.ones(3072, 2)}
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_bytes(wide))
    with pytest.raises(LoraError, match="LoRA for Qwen-Image; the base here is Vignette"):
        read_lora(path, NETWORKS, family="vignette")
    path.write_bytes(
        to_bytes(wide, {"modelspec.architecture": "flux-1-dev/lora"})
    )  # as wide, and called alike
    with pytest.raises(LoraError, match="LoRA for FLUX; the base here is Qwen-Image"):
        read_lora(path, NETWORKS, family="qwen-image")
