"""Files that come, change and go in the folder of LoRAs while a painter lives."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.tiny_loras import make_updates, qwen_networks, save, spell
from tests.tiny_sdxl import write_tiny_sdxl

from allaprima.core.errors import LoraError
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.painter import Painter


def test_a_file_counts_from_the_moment_it_is_there_to_the_moment_it_is_not(tmp_path: Path) -> None:
    folder, base = tmp_path / "loras", str(write_tiny_sdxl(tmp_path / "base"))
    folder.mkdir()
    painter = Painter.load(base, lora_dir=folder, device="cpu")
    bare = GenerationRequest(prompt="a cat", base=base, width=64, height=56, steps=2, seed=1)
    wearing = GenerationRequest(
        prompt="a cat", base=base, width=64, height=56, steps=2, seed=1, loras=(LoraUse(name="ink"),)
    )
    plain = painter.paint(bare).rgb

    def refused(why: str) -> None:
        with pytest.raises(LoraError, match=why):
            painter.paint(wearing)
        assert painter.paint(bare).rgb == plain

    refused("which is not in")
    kept = save(tmp_path / "kept", spell(make_updates(painter.base.modules(), r"to_[qk]$"), "diffusers"))
    file = folder / "ink.safetensors"
    file.write_bytes(kept.read_bytes()[:2000])
    refused("cut short")
    shutil.copy(kept, file)
    worn = painter.paint(wearing).rgb
    assert worn != plain
    save(file, spell(make_updates(qwen_networks(), r"to_[qk]$"), "diffusers"))
    refused("is a LoRA for a dual-stream transformer")
    file.unlink()
    refused("which is not in")
    (folder / "ink").mkdir()
    shutil.copy(kept, folder / "ink" / "adapter_model.safetensors")
    assert painter.paint(wearing).rgb == worn
    shutil.rmtree(folder)
    refused("which is not in")
