from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save as to_bytes
from tests.paint.lora.files.bad_files import (
    NETWORKS,
    TENSORS,
    refused,
)
from tests.tiny_loras import make_updates, sdxl_networks, spell

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.reader import read_lora

LAYER = "transformer_blocks.0.attn.to_q"


@pytest.mark.parametrize(
    "again",
    [
        f"transformer.{LAYER}.lora_A.weight",
        f"diffusion_model.{LAYER}.lora_down.weight",
        f"{LAYER}.lora_A.default.weight",
        "lora_unet_transformer_blocks_0_attn_to_q.lora_down.weight",
    ],
)
def test_one_tensor_under_two_names(tmp_path: Path, again: str) -> None:
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, again: torch.ones(2, 16)}), "one tensor")


FOREIGN = [
    "double_blocks.0.img_attn.qkv", "transformer.single_transformer_blocks.3.attn.to_q",
    "diffusion_model.blocks.0.self_attn.q", "diffusion_model.joint_blocks.1.x_block.attn.qkv",
    "layers.0.attention.to_q", "lora_te3_encoder_block_0_q", "what.is.this",
    "lora_unet_transformer_blocks_7_attn_to_q", "transformer_blocks.0.attn.to_Q",
    "transformer.transformer_blocks.0.attn", "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
    "vae.decoder.conv_in", "unet.transformer_blocks.0.attn.to_q",
]  # fmt: skip


@pytest.mark.parametrize("layer", FOREIGN)
def test_a_file_of_which_nothing_fits(tmp_path: Path, layer: str) -> None:
    tensors = {f"{layer}.lora_down.weight": torch.ones(2, 16), f"{layer}.lora_up.weight": torch.ones(16, 2)}
    refused(tmp_path / "a.safetensors", to_bytes(tensors), "none of|is a LoRA for")


def test_a_text_encoder_that_fits_does_not_excuse_a_denoiser_that_does_not(tmp_path: Path) -> None:
    text = spell(make_updates(sdxl_networks(), "^text_encoder.*self_attn"), "kohya")
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_bytes({**text, "lora_unet_else.lora_down.weight": torch.ones(2, 8)}))
    with pytest.raises(LoraError, match="none of its tensors for the denoiser"):
        read_lora(path, sdxl_networks())


def test_keys_that_fit_nothing_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(
        to_bytes(
            {**TENSORS, "bundle_emb.x": torch.ones(2), "transformer_blocks.9.attn.to_q.alpha": torch.ones(1)}
        )
    )
    assert read_lora(path, NETWORKS).unmatched == ("bundle_emb.x", "transformer_blocks.9.attn.to_q.alpha")
