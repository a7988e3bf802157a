"""Tiny turbo LoRAs for the tiny Vignette: files that say for how many steps they were trained."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

FOUR_STEPS = {
    "allaprima.family": "vignette",
    "allaprima.steps": "4",
    "allaprima.guidance": "1.0",
    "allaprima.sigmas": "[1.0, 0.3, 0.2, 0.1, 0.0]",
}
ONE_STEP = FOUR_STEPS | {"allaprima.steps": "1", "allaprima.sigmas": "[1.0, 0.0]"}


def write_turbo(path: Path, metadata: dict[str, str], seed: int = 0) -> None:
    """Write a LoRA of one layer whose file holds `metadata`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = torch.Generator().manual_seed(seed)
    key = "transformer.transformer_blocks.0.attn.to_q"
    tensors = {
        f"{key}.lora_A.weight": torch.randn(4, 32, generator=draw),
        f"{key}.lora_B.weight": torch.randn(32, 4, generator=draw),
    }
    save_file(tensors, path, metadata)
