"""What other programs call a network's layers: tables of renamed paths, and how Stable Diffusion's first code counts.

    names_of("down_blocks.0.attn1.to_q")    # every spelling of one path
    ldm_names(["down_blocks.0.conv_in"])    # LDM's names of a U-Net's layers, by path

A path is a module's, in diffusers or transformers.
"""

from __future__ import annotations

import re
from collections.abc import Collection

# Names of one path: where the pattern is found, the same path with the replacement is a name too.
_VERSIONS: tuple[tuple[str, str], ...] = (
    # transformers 5 flattened CLIPTextModel and left CLIPTextModelWithProjection as it was
    (r"^text_model\.(?=encoder\.)", ""),
    (r"^(?=encoder\.layers\.)", "text_model."),
)
ALIASES: tuple[tuple[str, str], ...] = (
    *_VERSIONS,
    # diffusers before 0.22 kept the halves in attention processors
    (r"(?<=\battn[12])\.(to_[qkv])$", r".processor.\1"),
    (r"(?<=\battn[12])\.to_out\.0$", ".processor.to_out"),
    (r"(?<=\battn[12])\.to_out\.0$", ".to_out"),
    (r"(?<=\bself_attn)\.([qkv])_proj$", r".to_\1"),
    (r"(?<=\bself_attn)\.out_proj$", ".to_out"),
)

_QKV = ("to_q", "to_k", "to_v")
_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")
_FUSED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("to_qkv", _QKV), ("qkv", _QKV), ("to_kv", _QKV[1:]), ("to_added_qkv", _ADDED), ("add_qkv_proj", _ADDED),
    ("in_proj", ("q_proj", "k_proj", "v_proj")), ("qkv_proj", ("q_proj", "k_proj", "v_proj")),
)  # fmt: skip
"""What other programs keep as one layer, and our layers in the order of its rows (diffusers' `fuse_projections`)."""

# What Stable Diffusion's first code (LDM, later sgm) calls the layers that diffusers renamed.
_LDM_OUTSIDE = {
    "conv_in": "input_blocks.0.0", "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
}  # fmt: skip
_LDM_INSIDE = {
    "conv1": "in_layers.2", "conv2": "out_layers.3", "norm1": "in_layers.0", "norm2": "out_layers.0",
    "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip


def names_of(path: str) -> list[str]:
    """Return `path` and its other names, each with its dots and with underscores for them."""
    dotted = [path]
    for pattern, replacement in ALIASES:
        dotted += [new for name in dotted if (new := re.sub(pattern, replacement, name)) not in dotted]
    return [*dotted, *(name.replace(".", "_") for name in dotted)]


def fused_paths(paths: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the paths of layers that other programs keep as one, by the path of that one."""
    fused: dict[str, tuple[str, ...]] = {}
    for name, parts in _FUSED:
        for path in paths:
            stem, dot, last = path.rpartition(".")
            members = tuple(f"{stem}{dot}{part}" for part in parts)
            if (
                last == parts[0]
                and f"{stem}{dot}{name}" not in paths
                and all(one in paths for one in members)
            ):
                fused[f"{stem}{dot}{name}"] = members
    return fused


def versions_of(path: str) -> tuple[str, ...]:
    """Return `path` and what other versions of the same library call it."""
    others = (re.sub(pattern, replacement, path) for pattern, replacement in _VERSIONS)
    return tuple(dict.fromkeys((path, *others)))


def ldm_names(paths: Collection[str]) -> dict[str, str]:
    """Return what LDM calls the layers of a U-Net, by their paths in diffusers; empty for any other network.

    LDM numbers its blocks through: one for each resnet (with its attention), one for each change of size on the
    way down; on the way up the change of size stands inside the last block of its size.
    """
    if not any(path.startswith("down_blocks.") for path in paths):
        return {}
    blocks = _ldm_blocks(paths)
    names = {path: name for path, name in _LDM_OUTSIDE.items() if path in paths}
    for path in paths:
        if match := re.match(r"((?:down_blocks|up_blocks)\.\d+\.\w+\.\d+|mid_block\.\w+\.\d+)\.(.+)", path):
            block, inside = match.groups()
            if block in blocks:
                ending = "op" if block.startswith("down_blocks") and "downsamplers" in block else inside
                names[path] = f"{blocks[block]}.{_LDM_INSIDE.get(inside, ending)}"
    return names


def _ldm_blocks(paths: Collection[str]) -> dict[str, str]:
    """Return LDM's name of each resnet, attention and resampler of a U-Net."""
    present = {match[0] for path in paths if (match := re.match(r"\w+(?:\.\d+)?\.[a-z]+\.\d+", path))}
    blocks = {"mid_block.resnets.0": "middle_block.0", "mid_block.resnets.1": "middle_block.2"}
    blocks["mid_block.attentions.0"] = "middle_block.1"
    for side, ldm, number in (("down_blocks", "input_blocks", 1), ("up_blocks", "output_blocks", 0)):
        block = 0
        while f"{side}.{block}.resnets.0" in present:
            at, place = f"{side}.{block}", 0
            while f"{at}.resnets.{place}" in present:
                blocks[f"{at}.resnets.{place}"] = f"{ldm}.{number}.0"
                blocks[f"{at}.attentions.{place}"] = f"{ldm}.{number}.1"
                number, place = number + 1, place + 1
            if f"{at}.downsamplers.0" in present:
                blocks[f"{at}.downsamplers.0"] = f"{ldm}.{number}.0"
                number += 1
            if f"{at}.upsamplers.0" in present:
                inside = 2 if f"{at}.attentions.{place - 1}" in present else 1
                blocks[f"{at}.upsamplers.0"] = f"{ldm}.{number - 1}.{inside}"
            block += 1
    return blocks
