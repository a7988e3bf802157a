"""LoRAs with fused layers on weights that stay quantised, against the same changes merged into stock's weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_flux2_transformer_checkpoint_to_diffusers,
    convert_z_image_transformer_checkpoint_to_diffusers,
)
from safetensors.torch import save_file
from tests.tiny_files import Layout
from tests.tiny_qwen3 import chat_tokenizer
from tests.tiny_split_families import (
    make_split_klein,
    make_split_z_image,
    write_split_klein,
    write_split_z_image,
)

from allaprima.core.request import LoraUse
from allaprima.paint.bases.flux2_klein.split_files import load_split_flux2_klein
from allaprima.paint.bases.z_image.split_files import load_split_z_image
from allaprima.paint.contract.base import Base
from allaprima.paint.lora.files.folder import LoraFolder
from allaprima.paint.lora.manager import LoraManager
from allaprima.paint.painter import Painter

CPU = torch.device("cpu")
KLEIN = {
    "double_blocks.0.img_attn.qkv": (768, 256), "double_blocks.0.txt_attn.qkv": (768, 256),
    "single_blocks.0.linear1": (2304, 256), "final_layer.adaLN_modulation.1": (512, 256),
}  # fmt: skip
Z_IMAGE = {"layers.0.attention.qkv": (768, 256), "layers.0.feed_forward.w1": (682, 256)}

Kind = tuple[
    Callable[..., Any],
    Callable[..., Any],
    Callable[..., Base],
    Callable[..., Any],
    dict[str, tuple[int, int]],
]
KINDS: dict[str, Kind] = {
    "klein": (
        make_split_klein, write_split_klein, load_split_flux2_klein,
        convert_flux2_transformer_checkpoint_to_diffusers, KLEIN,
    ),
    "z-image": (
        make_split_z_image, write_split_z_image, load_split_z_image,
        convert_z_image_transformer_checkpoint_to_diffusers, Z_IMAGE,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "layout"), [("klein", "Q8_0"), ("klein", "fp8"), ("z-image", "Q4_K")])
def test_a_worn_lora_paints_as_merged_weights_do_and_leaves_no_trace(
    kind: str, layout: Layout, tmp_path: Path
) -> None:
    make, write, load, convert, layers = KINDS[kind]
    draw = torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    whole: dict[str, torch.Tensor] = {}
    for name, (out, width) in layers.items():
        down, up = torch.randn(2, width, generator=draw), torch.randn(out, 2, generator=draw) / 8
        tensors |= {
            f"diffusion_model.{name}.lora_A.weight": down,
            f"diffusion_model.{name}.lora_B.weight": up,
        }
        whole[f"{name}.weight"] = up @ down
    (tmp_path / "loras").mkdir()
    save_file(tensors, tmp_path / "loras" / "ink.safetensors")

    stock = make()
    base = load(write(tmp_path / "stored", stock, layout), dtype=torch.float32, tokenizer=chat_tokenizer)
    manager = LoraManager(base.modules(), LoraFolder(tmp_path / "loras"), family=base.family, device=CPU)
    painter = Painter(base=base, lora_manager=manager)
    request = painter.request(prompt="a cat", seed=1, width=48, height=32, steps=2)
    plain = painter.paint(request).rgb
    worn = painter.paint(replace(request, loras=(LoraUse(name="ink"),))).rgb
    assert painter.paint(request).rgb == plain

    state = stock.transformer.state_dict()
    for name, delta in convert(whole).items():
        state[name] += delta
    stock.transformer.load_state_dict(state)
    merged = load(write(tmp_path / "merged", stock, "fp32"), dtype=torch.float32, tokenizer=chat_tokenizer)
    expected = Painter(base=merged).paint(replace(request, base=merged.name)).rgb
    levels = [torch.tensor(list(rgb), dtype=torch.int16) for rgb in (worn, expected, plain)]
    assert (levels[0] - levels[1]).abs().max() <= 1
    assert (levels[2] - levels[1]).abs().max() > 8
