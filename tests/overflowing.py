"""Real bases with weights so large that fp16 overflows and formats of larger range do not.

Every base is stored in fp16 numbers, so that one loaded in fp32 computes with the very same weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_vignette import write_tiny_vignette
from torch import nn

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.loading import load_base
from allaprima.paint.bases.vignette.base import load_vignette
from allaprima.paint.contract.base import Base, Stage
from allaprima.paint.painter import Painter

LARGEST = 3e4
"""The largest weight of a layer that is made to overflow; fp16 still holds it."""

# Layers whose answers are normed, or weighed with zero, later on: only a format that ends before them minds.
LARGE = {
    "vignette": {
        "predict": "transformer.transformer_blocks.0.attn.to_v",
        "decode": "decoder.1.first",
    },
    "qwen-image": {
        "predict": "transformer_blocks.0.attn.to_v",
        "decode": "decoder.conv_in",
        "text": "model.language_model.layers.0.mlp.up_proj",
    },
    "sdxl": {
        "predict": "mid_block.attentions.0.transformer_blocks.0.attn1.to_v",
        "text": "encoder.layers.0.mlp.fc2",
    },
}


def write_base(family: str, folder: Path) -> str:
    """Write a tiny checkpoint and return its spec; Vignette's is its folder."""
    if family == "vignette":
        return str(write_tiny_vignette(folder))
    if family == "sdxl":
        return str(write_tiny_sdxl(folder))
    return str(write_tiny_qwen(folder))


def load(
    family: str,
    spec: str,
    dtype: torch.dtype,
    large: tuple[Stage, ...] = (),
    other: Mapping[Stage, torch.dtype] | None = None,
) -> Base:
    """Load a base in `dtype`, with layers of the stages in `large` that overflow in fp16.

    Args:
        family: of the base.
        spec: what `write_base` returned.
        dtype: what it computes in.
        large: stages that are to overflow.
        other: stages that compute in another format.
    """
    cpu = torch.device("cpu")
    if family == "vignette":
        base: Base = load_vignette(Path(spec), cpu, torch.float32)
    else:
        base = load_base(spec, device=cpu, dtype=torch.float32)
    for stage in large:
        enlarge(base.stages()[stage][0], LARGE[family][stage])
    for stage, networks in base.stages().items():
        # Vignette reads in fp32 in any case.
        reads = family == "vignette" and stage == "text"
        wanted = torch.float32 if reads else (other or {}).get(stage, dtype)
        for network in networks:
            for parameter in network.parameters():
                parameter.data = parameter.data.to(torch.float16).to(wanted)
            for name, buffer in network.named_buffers():
                if buffer.is_floating_point():
                    owner, _, last = name.rpartition(".")
                    setattr(network.get_submodule(owner), last, buffer.to(torch.float16).to(wanted))
    return base


def enlarge(network: nn.Module, layer: str) -> None:
    """Scale a layer's weight so that its largest number is `LARGEST`."""
    found = next(module for name, module in network.named_modules() if name.endswith(layer))
    weight = found.weight
    assert isinstance(weight, nn.Parameter)
    wide = weight.data.float()
    weight.data = (wide * (LARGEST / wide.abs().max())).to(weight.dtype)


def painter_of(base: Base, *, guarded: bool = True) -> Painter:
    """Return a painter without LoRAs."""
    return Painter(base=base, guarded=guarded)


def request_for(base: Base, **changes: object) -> GenerationRequest:
    """Return a small request that `base` can paint."""
    side = 256 if base.family == "vignette" else 32
    plain = {"prompt": "cat", "base": base.name, "width": side, "height": side, "steps": 2, "guidance": 1.0}
    return GenerationRequest.from_json({**plain, **changes})
