"""A HyperLoRA in the layout that ByteDance published, tiny, with weights that a formula gives."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

BASIS, RANK, WIDTH, PATCH_WIDTH, EMBEDDING_WIDTH, ID_TOKENS, DEPTH = 6, 4, 16, 12, 10, 3, 2
INNER = 2 * 64
"""Of each attention: two heads of the one width that published resamplers have."""

Sides = dict[str, tuple[int, int | None]]
"""Of each attention, by its name in the file: width, and that of what it looks at (None: itself)."""


def wave(shape: tuple[int, ...], number: int, scale: float = 1.0) -> Tensor:
    """Return a tensor that depends on its shape and number alone, the same on every machine."""
    steps = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(steps * (0.7 + 0.013 * number) + number)).float().reshape(shape)


def write_published(folder: Path, attentions: Sides, *, embedding: bool = True, base: bool = False) -> Path:
    """Write a network for `attentions` and return its folder.

    Args:
        embedding: it reads an identity embedding, then patches; else patches alone.
        base: it predicts a Base-LoRA too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = count(1)
    modules: dict[str, Tensor] = {}
    kinds = {"id": RANK} | ({"base": RANK // 2} if base else {})
    for index, (width, seen) in enumerate(attentions.values()):
        inputs = {"to_q": width, "to_k": seen or width, "to_v": seen or width, "to_out": width}
        for part, width_in in inputs.items():
            for kind, rank in kinds.items():
                key = f"{index}.{part}.{kind}"
                modules[f"{key}_down_basis"] = wave((BASIS, width_in, rank), next(numbers), 0.3)
                modules[f"{key}_up_basis"] = wave((BASIS, rank, width), next(numbers), 0.3)
    save_file(modules, folder / "hyper_lora_modules.safetensors")
    info = {
        name: {"hidden_size": width, "cross_attention_dim": seen}
        for name, (width, seen) in attentions.items()
    }
    (folder / "hyper_lora_modules.json").write_text(json.dumps(info), encoding="utf-8")
    queries = 8 * len(attentions)
    save_file(_resampler(queries, 2 if embedding else 1, 200), folder / "resampler.safetensors")
    if base:
        save_file(_resampler(queries, 1, 400), folder / "base_resampler.safetensors")
    if embedding:
        out = ID_TOKENS * PATCH_WIDTH
        projector = {
            "0.weight": wave((out, EMBEDDING_WIDTH), 601, 0.3), "0.bias": wave((out,), 602, 0.1),
            "2.weight": 1 + wave((PATCH_WIDTH,), 603, 0.1), "2.bias": wave((PATCH_WIDTH,), 604, 0.1),
        }  # fmt: skip
        save_file(projector, folder / "id_projector.safetensors")
    return folder


def _resampler(queries: int, sources: int, number: int) -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {"latents": (1, queries, WIDTH)}
    for inlet in ("proj_in", "proj_in_2")[:sources]:
        shapes |= {f"{inlet}.weight": (WIDTH, PATCH_WIDTH), f"{inlet}.bias": (WIDTH,)}
    shapes |= {"proj_out.weight": (BASIS, WIDTH), "proj_out.bias": (BASIS,)}
    norms = ("norm_attn1", "norm_attn2_l", "norm_attn2_x", "norm_attn3_l", "norm_attn3_y")[: 1 + 2 * sources]
    for layer in (f"layers.{index}" for index in range(DEPTH)):
        for norm in (*norms, "norm_ff"):
            shapes |= {f"{layer}.{norm}.weight": (WIDTH,), f"{layer}.{norm}.bias": (WIDTH,)}
        for attention in ("attn1", "attn2", "attn3")[: 1 + sources]:
            for part in ("to_q", "to_k", "to_v"):
                shapes[f"{layer}.{attention}.{part}.weight"] = (INNER, WIDTH)
            shapes[f"{layer}.{attention}.to_out.0.weight"] = (WIDTH, INNER)
        shapes |= {
            f"{layer}.ff.net.0.proj.weight": (4 * WIDTH, WIDTH),
            f"{layer}.ff.net.0.proj.bias": (4 * WIDTH,),
        }
        shapes |= {f"{layer}.ff.net.2.weight": (WIDTH, 4 * WIDTH), f"{layer}.ff.net.2.bias": (WIDTH,)}
    return {
        key: wave(shape, number + index, 0.25) + (1.0 if "norm" in key and key.endswith("weight") else 0.0)
        for index, (key, shape) in enumerate(shapes.items())
    }
