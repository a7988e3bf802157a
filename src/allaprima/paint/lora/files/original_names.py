"""What the authors of FLUX.2 and Z-Image call the layers that diffusers renamed, and which of them it took apart.

    original_names(paths)   # {"x_embedder": "img_in", ...}, nothing for other networks
    fused_layers(shapes)    # double_blocks.0.img_attn.qkv, whose rows are those of to_q, to_k and to_v

Most trainers name layers as the authors do, and their updates of a fused layer are for all of its parts at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

Rows = tuple[tuple[int, int], ...]
"""Stretches of rows, from and up to, in the order in which they follow each other in a layer."""

_FLUX2 = (
    (r"^transformer_blocks\.(\d+)\.attn\.to_out\.0$", r"double_blocks.\1.img_attn.proj"),
    (r"^transformer_blocks\.(\d+)\.attn\.to_add_out$", r"double_blocks.\1.txt_attn.proj"),
    (r"^transformer_blocks\.(\d+)\.ff\.linear_in$", r"double_blocks.\1.img_mlp.0"),
    (r"^transformer_blocks\.(\d+)\.ff\.linear_out$", r"double_blocks.\1.img_mlp.2"),
    (r"^transformer_blocks\.(\d+)\.ff_context\.linear_in$", r"double_blocks.\1.txt_mlp.0"),
    (r"^transformer_blocks\.(\d+)\.ff_context\.linear_out$", r"double_blocks.\1.txt_mlp.2"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.to_qkv_mlp_proj$", r"single_blocks.\1.linear1"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.to_out$", r"single_blocks.\1.linear2"),
    (r"^(\w+_stream_modulation\w*)\.linear$", r"\1.lin"),
    (r"^x_embedder$", "img_in"),
    (r"^context_embedder$", "txt_in"),
    (r"^time_guidance_embed\.timestep_embedder\.linear_1$", "time_in.in_layer"),
    (r"^time_guidance_embed\.timestep_embedder\.linear_2$", "time_in.out_layer"),
    (r"^proj_out$", "final_layer.linear"),
)
_Z_IMAGE = (
    (r"^(\w+\.\d+\.attention)\.to_out\.0$", r"\1.out"),
    (r"^all_x_embedder\.2-1$", "x_embedder"),
    (r"^all_final_layer\.2-1\.(.+)$", r"final_layer.\1"),
)
_FLUX2_FUSED = (
    (r"^transformer_blocks\.(\d+)\.attn\.", ("to_q", "to_k", "to_v"), r"double_blocks.\1.img_attn.qkv"),
    (
        r"^transformer_blocks\.(\d+)\.attn\.",
        ("add_q_proj", "add_k_proj", "add_v_proj"),
        r"double_blocks.\1.txt_attn.qkv",
    ),
)
_Z_IMAGE_FUSED = ((r"^(\w+\.\d+\.attention)\.", ("to_q", "to_k", "to_v"), r"\1.qkv"),)
# diffusers' layer makes scale and shift, the authors' shift and scale.
_SWAPPED = ("norm_out.linear", "final_layer.adaLN_modulation.1")


@dataclass(frozen=True, kw_only=True)
class FusedLayer:
    """A layer of the authors' network that is several here, or one whose rows stand in another order."""

    name: str
    shape: tuple[int, int]
    """Of its weight, (out, in)."""
    parts: Mapping[str, Rows]
    """The paths of the layers here, with their rows in it."""


def original_names(paths: Collection[str]) -> dict[str, str]:
    """Return the authors' name of each layer of FLUX.2 or Z-Image that is called otherwise here."""
    table = _FLUX2 if _is_flux2(paths) else _Z_IMAGE if _is_z_image(paths) else ()
    return {
        path: re.sub(pattern, name, path)
        for path in paths
        for pattern, name in table
        if re.search(pattern, path)
    }


def fused_layers(shapes: Mapping[str, tuple[int, ...]]) -> list[FusedLayer]:
    """Return the fused layers of FLUX.2 or Z-Image, none of other networks.

    Args:
        shapes: of the weight of each layer, by its path.
    """
    if _is_flux2(shapes):
        swapped = [_swapped(shapes)] if _SWAPPED[0] in shapes else []
        return [*_fused(_FLUX2_FUSED, shapes), *swapped]
    return list(_fused(_Z_IMAGE_FUSED, shapes)) if _is_z_image(shapes) else []


def _fused(
    table: tuple[tuple[str, tuple[str, ...], str], ...], shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[FusedLayer]:
    for pattern, parts, name in table:
        for path in shapes:
            match = re.match(pattern, path)
            if match is None or path != match[0] + parts[0]:
                continue
            paths = [match[0] + part for part in parts]
            ends = accumulate((shapes[part][0] for part in paths), initial=0)
            rows = {part: (stretch,) for part, stretch in zip(paths, pairwise(ends), strict=True)}
            total = sum(shapes[part][0] for part in paths)
            yield FusedLayer(name=match.expand(name), shape=(total, shapes[path][1]), parts=rows)


def _swapped(shapes: Mapping[str, tuple[int, ...]]) -> FusedLayer:
    path, name = _SWAPPED
    out, width = shapes[path][:2]
    return FusedLayer(name=name, shape=(out, width), parts={path: ((out // 2, out), (0, out // 2))})


def _is_flux2(paths: Collection[str]) -> bool:
    return any(path.endswith(".attn.to_qkv_mlp_proj") for path in paths)


def _is_z_image(paths: Collection[str]) -> bool:
    return any(path.startswith("context_refiner.") for path in paths)
