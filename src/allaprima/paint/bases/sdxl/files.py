"""SDXL in single files: how checkpoints and autoencoders alone are known, and what a pruned UNet looks like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from allaprima.paint.bases.files.header import FileHeader
from allaprima.paint.bases.files.parts import PartFile, find_first_prefix

UNET = "model.diffusion_model."
AUTOENCODER = "first_stage_model."
FIRST_TEXT = "conditioner.embedders.0.transformer."
SECOND_TEXT = "conditioner.embedders.1.model."
VAE_PREFIXES = ("", AUTOENCODER, "vae.")

_LEVELS, _LAYERS = 3, 2
"""Levels of SDXL's UNet, and residual layers of one on its way down; one more on its way up."""

_BLOCK = re.compile(r"(input_blocks|output_blocks)\.(\d+)\.1\.transformer_blocks\.(\d+)\.")


def find_checkpoint(header: FileHeader) -> str | None:
    """Return the prefix, none, of an SDXL with both text encoders, perhaps without its autoencoder."""
    parts = (f"{UNET}input_blocks.", FIRST_TEXT, SECOND_TEXT)
    return "" if all(map(header.starts_with, parts)) else None


def find_vae(header: FileHeader) -> str | None:
    """Return the prefix of an autoencoder with four channels of latents, alone or in a checkpoint."""
    if find_checkpoint(header) is not None and header.starts_with(AUTOENCODER):
        return AUTOENCODER
    for first in ("decoder.mid.block_1.norm1.weight", "decoder.mid_block.resnets.0.norm1.weight"):
        prefix = find_first_prefix(header, VAE_PREFIXES, first, "post_quant_conv.weight")
        if prefix is not None and header.shape(f"{prefix}post_quant_conv.weight")[:1] == (4,):
            return prefix
    return None


PARTS = (
    PartFile(part="checkpoint", name="an SDXL checkpoint", find_prefix=find_checkpoint),
    PartFile(
        part="vae",
        name="SDXL's autoencoder",
        find_prefix=find_vae,
        published="sdxl_vae.safetensors of stabilityai/sdxl-vae",
        # Stable Diffusion 1's looks the same and paints wrong colours.
        passes_for=lambda name: "xl" in name.lower(),
    ),
)
"""The first is what a base is named by."""


def pruned_shape(names: Iterable[str], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a UNet's configuration has otherwise than the `whole` one, if its file holds fewer blocks.

    SSD-1B and Segmind-Vega (arXiv:2401.02677) leave out transformer blocks, and all layers of the middle but one. The
    names tell how many there are. A file that lacks nothing but its middle has lost it, and is not called pruned.
    """
    names = [name.removeprefix(UNET) for name in names if name.startswith(UNET)]
    if any(name.startswith("middle_block.1.") for name in names):
        return {}
    depths: dict[tuple[str, int], int] = {}
    for name in names:
        if found := _BLOCK.match(name):
            place = (found[1], int(found[2]))
            depths[place] = max(depths.get(place, 0), int(found[3]) + 1)
    down = [
        [depths.get(("input_blocks", 3 * level + layer + 1), 0) for layer in range(_LAYERS)]
        for level in range(_LEVELS)
    ]
    up = [
        [depths.get(("output_blocks", 3 * level + layer), 0) for layer in range(_LAYERS + 1)]
        for level in range(_LEVELS)
    ]
    has_middle = any(name.startswith("middle_block.0.") for name in names)
    depths_of_whole = whole["transformer_layers_per_block"]
    if not has_middle and all(
        level == [depth] * _LAYERS for level, depth in zip(down, depths_of_whole, strict=True) if any(level)
    ):
        return {}
    return {
        "mid_block_type": "UNetMidBlock2D" if has_middle else None,
        "transformer_layers_per_block": [level if any(level) else 1 for level in down],
        "reverse_transformer_layers_per_block": [level if any(level) else 1 for level in up],
    }
