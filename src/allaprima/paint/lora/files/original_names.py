"""What the authors of FLUX.2 and Z-Image call the layers that diffusers renamed.

    original_names(paths)    # {"x_embedder": "img_in", ...}, nothing for other networks

Most trainers name layers as the authors do.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_FLUX2 = (
    (r"^transformer_blocks\.(\d+)\.attn\.to_qkv$", r"double_blocks.\1.img_attn.qkv"),
    (r"^transformer_blocks\.(\d+)\.attn\.to_added_qkv$", r"double_blocks.\1.txt_attn.qkv"),
    (r"^transformer_blocks\.(\d+)\.attn\.norm_q$", r"double_blocks.\1.img_attn.norm.query_norm"),
    (r"^transformer_blocks\.(\d+)\.attn\.norm_k$", r"double_blocks.\1.img_attn.norm.key_norm"),
    (r"^transformer_blocks\.(\d+)\.attn\.norm_added_q$", r"double_blocks.\1.txt_attn.norm.query_norm"),
    (r"^transformer_blocks\.(\d+)\.attn\.norm_added_k$", r"double_blocks.\1.txt_attn.norm.key_norm"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.norm_q$", r"single_blocks.\1.norm.query_norm"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.norm_k$", r"single_blocks.\1.norm.key_norm"),
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
    (r"^(\w+\.\d+\.attention)\.norm_([qk])$", r"\1.\2_norm"),
    (r"^all_x_embedder\.2-1$", "x_embedder"),
    (r"^all_final_layer\.2-1\.(.+)$", r"final_layer.\1"),
)
# diffusers' layer makes scale and shift, the authors' shift and scale.
_SWAPPED = ("norm_out.linear", "final_layer.adaLN_modulation.1")


def original_names(paths: Collection[str]) -> dict[str, str]:
    """Return the authors' name of each layer of FLUX.2 or Z-Image that is called otherwise here."""
    table = _FLUX2 if _is_flux2(paths) else _Z_IMAGE if _is_z_image(paths) else ()
    return {
        path: re.sub(pattern, name, path)
        for path in paths
        for pattern, name in table
        if re.search(pattern, path)
    }


def swapped_layers(paths: Collection[str]) -> dict[str, str]:
    """Return the layers whose rows the authors have the other way round, by their names for them."""
    path, name = _SWAPPED
    return {name: path} if _is_flux2(paths) and path in paths else {}


def _is_flux2(paths: Collection[str]) -> bool:
    return any(path.endswith(".attn.to_qkv_mlp_proj") for path in paths)


def _is_z_image(paths: Collection[str]) -> bool:
    return any(path.startswith("context_refiner.") for path in paths)
