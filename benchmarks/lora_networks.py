"""SDXL's denoiser at three sizes, random LoRAs for it, and one pass through it.

    tiny         the real class with narrow layers, for trying things out
    attention    SDXL's 560 attention layers in their true shapes and nothing else: 955 M weights
    sdxl         all of it: 2.6 G weights

Neither speed nor memory depends on the values, so all of them are random.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn

Size = Literal["tiny", "attention", "sdxl"]

_COMMON: dict[str, Any] = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "addition_embed_type": "text_time",
    "use_linear_projection": True,
}
_SDXL = {
    **_COMMON,
    "block_out_channels": (320, 640, 1280),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_TINY = {
    **_COMMON,
    "block_out_channels": (16, 32, 64),
    "transformer_layers_per_block": (1, 1, 2),
    "attention_head_dim": (2, 4, 8),
    "cross_attention_dim": 32,
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 80,
    "norm_num_groups": 8,
}
TEXT_TOKENS = 77


def build(size: Size, device: torch.device, dtype: torch.dtype) -> UNet2DConditionModel:
    """Return the denoiser with random weights; of "attention", everything else is left out."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**(_TINY if size == "tiny" else _SDXL))
    if size == "attention":
        for path, module in list(unet.named_modules()):
            if path and not list(module.children()) and not _is_attention(path):
                unet.set_submodule(path, nn.Identity())
    # Past diffusers' own `to`, which warns about layers to keep in float32 even where there are none.
    unet = nn.Module.to(unet, dtype).to_empty(device=device).eval().requires_grad_(requires_grad=False)
    _randomise(unet)
    return unet


def targets(unet: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return path and weight shape of the attention layers, all of which a LoRA touches."""
    return {
        path: tuple(module.weight.shape)
        for path, module in unet.named_modules()
        if isinstance(module, nn.Linear) and _is_attention(path)
    }


def write_lora(path: Path, shapes: dict[str, tuple[int, ...]], rank: int, seed: int) -> Path:
    """Write a bf16 LoRA with random matrices, in diffusers' layout."""
    draw = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (num_out, num_in) in shapes.items():
        for part, shape in (("lora_A", (rank, num_in)), ("lora_B", (num_out, rank))):
            tensors[f"unet.{name}.{part}.weight"] = (torch.randn(shape, generator=draw) / 64).bfloat16()
    save_file(tensors, path)
    return path


def write_kohya_lora(path: Path, shapes: dict[str, tuple[int, ...]], rank: int, seed: int) -> Path:
    """Write the like in kohya's layout, with an alpha of half the rank for each layer."""
    draw = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (num_out, num_in) in shapes.items():
        stem = f"lora_unet_{name.replace('.', '_')}"
        for part, shape in (("lora_down", (rank, num_in)), ("lora_up", (num_out, rank))):
            tensors[f"{stem}.{part}.weight"] = (torch.randn(shape, generator=draw) / 64).bfloat16()
        tensors[f"{stem}.alpha"] = torch.tensor(rank / 2, dtype=torch.bfloat16)
    save_file(tensors, path)
    return path


def one_pass(unet: UNet2DConditionModel, size: Size, side: int) -> Callable[[], torch.Tensor]:
    """Return a pass at batch 1 for a picture of `side` pixels; of "attention", through each layer in turn."""
    weight = next(unet.parameters())
    fill = partial(torch.full, fill_value=0.1, device=weight.device, dtype=weight.dtype)
    text = fill((1, TEXT_TOKENS, unet.config.cross_attention_dim))
    if size == "attention":
        return partial(_through_attention, unet, side, text, fill)
    pooled = unet.config.projection_class_embeddings_input_dim - 6 * unet.config.addition_time_embed_dim
    added = {"text_embeds": fill((1, pooled)), "time_ids": fill((1, 6))}
    noise = torch.randn(1, 4, side // 8, side // 8, generator=torch.Generator().manual_seed(0))
    sample = noise.to(weight.device, weight.dtype)
    time = torch.tensor(500.0, device=weight.device)

    def step() -> torch.Tensor:
        out: torch.Tensor = unet(sample, time, text, added_cond_kwargs=added, return_dict=False)[0]
        return out

    return step


def _is_attention(path: str) -> bool:
    return ".attn1.to_" in path or ".attn2.to_" in path


def _randomise(module: nn.Module) -> None:
    # Drawing two billion numbers takes a minute; one drawn million, repeated, is as good here.
    pattern = torch.randn(2**20, generator=torch.Generator().manual_seed(0)) * 0.02
    for tensor in [*module.parameters(), *module.buffers()]:
        pattern = pattern.to(tensor.device)
        flat = tensor.data.view(-1)
        for begin in range(0, len(flat), len(pattern)):
            piece = flat[begin : begin + len(pattern)]
            piece.copy_(pattern[: len(piece)])


def _through_attention(
    unet: nn.Module, side: int, text: torch.Tensor, fill: Callable[[tuple[int, ...]], torch.Tensor]
) -> torch.Tensor:
    answers = []
    for path, module in unet.named_modules():
        if path.endswith((".attn1", ".attn2")):
            width: int = module.get_submodule("to_q").in_features
            tokens = (side // 16) ** 2 if width == 640 else (side // 32) ** 2
            other = text if path.endswith(".attn2") else None
            answers.append(module(fill((1, tokens, width)), encoder_hidden_states=other).mean())
    return torch.stack(answers)
