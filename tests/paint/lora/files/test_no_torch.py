"""Listing LoRAs and describing them is light: whoever does no more waits for no torch."""

from __future__ import annotations

import subprocess
import sys

PLAIN = (
    "adapter_config", "dialects", "families", "folder", "header", "keys", "layer_names", "locations", "metadata",
    "patterns", "remarks", "summary",
)  # fmt: skip


def test_what_describes_a_file_loads_no_torch() -> None:
    modules = ", ".join(f"allaprima.paint.lora.files.{name}" for name in PLAIN)
    code = f"import {modules}, sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "safetensors", "diffusers", "numpy"} & set(ran.stdout.split())
