"""Files of LoRAs for tests of the server: one tensor, and what the file says about itself."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from allaprima.studio.server.lora_cards import LoraCards


def cards_with(folder: Path, name: str, **metadata: str) -> LoraCards:
    """Write a LoRA into `folder`, `metadata` under our own keys, and return the folder's cards."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {f"allaprima.{key}": value for key, value in metadata.items()}
    save_file({"x": torch.zeros(1)}, folder / f"{name}.safetensors", said)
    return LoraCards(folder)
