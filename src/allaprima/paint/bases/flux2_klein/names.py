"""Black Forest Labs' names of klein's weights, turned into those of diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allaprima.paint.bases.files.renaming import rename_weights
from allaprima.paint.bases.files.tensor_views import swap_halves

_DOUBLE, _BLOCK = r"double_blocks\.(\d+)\.", r"transformer_blocks.\1."
_SINGLE, _ONE = r"single_blocks\.(\d+)\.", r"single_transformer_blocks.\1.attn."
_LAST_NORM = "norm_out.linear.weight"
_AUTHORS_LAST_NORM = "final_layer.adaLN_modulation.1.weight"

_TABLE = (
    (
        rf"{_DOUBLE}img_attn\.qkv\.weight",
        tuple(rf"{_BLOCK}attn.to_{part}.weight" for part in "qkv"),
    ),
    (
        rf"{_DOUBLE}txt_attn\.qkv\.weight",
        tuple(rf"{_BLOCK}attn.add_{part}_proj.weight" for part in "qkv"),
    ),
    (rf"{_DOUBLE}img_attn\.norm\.(q|k)\w+_norm\.(?:scale|weight)", (rf"{_BLOCK}attn.norm_\2.weight",)),
    (rf"{_DOUBLE}txt_attn\.norm\.(q|k)\w+_norm\.(?:scale|weight)", (rf"{_BLOCK}attn.norm_added_\2.weight",)),
    (rf"{_DOUBLE}img_attn\.proj\.weight", (rf"{_BLOCK}attn.to_out.0.weight",)),
    (rf"{_DOUBLE}txt_attn\.proj\.weight", (rf"{_BLOCK}attn.to_add_out.weight",)),
    (rf"{_DOUBLE}img_mlp\.0\.weight", (rf"{_BLOCK}ff.linear_in.weight",)),
    (rf"{_DOUBLE}img_mlp\.2\.weight", (rf"{_BLOCK}ff.linear_out.weight",)),
    (rf"{_DOUBLE}txt_mlp\.0\.weight", (rf"{_BLOCK}ff_context.linear_in.weight",)),
    (rf"{_DOUBLE}txt_mlp\.2\.weight", (rf"{_BLOCK}ff_context.linear_out.weight",)),
    (rf"{_SINGLE}linear1\.weight", (rf"{_ONE}to_qkv_mlp_proj.weight",)),
    (rf"{_SINGLE}linear2\.weight", (rf"{_ONE}to_out.weight",)),
    (rf"{_SINGLE}norm\.(q|k)\w+_norm\.(?:scale|weight)", (rf"{_ONE}norm_\2.weight",)),
    (r"(\w+_stream_modulation\w*)\.lin\.weight", (r"\1.linear.weight",)),
    (r"img_in\.weight", ("x_embedder.weight",)),
    (r"txt_in\.weight", ("context_embedder.weight",)),
    (r"time_in\.in_layer\.weight", ("time_guidance_embed.timestep_embedder.linear_1.weight",)),
    (r"time_in\.out_layer\.weight", ("time_guidance_embed.timestep_embedder.linear_2.weight",)),
    (r"final_layer\.linear\.weight", ("proj_out.weight",)),
    (r"final_layer\.adaLN_modulation\.1\.weight", (_LAST_NORM,)),
)


def name_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return the transformer's weights, announced or stored, under the names of diffusers."""
    named = rename_weights(weights, _TABLE)
    if _AUTHORS_LAST_NORM in weights:  # the authors make shift and scale, diffusers scale and shift
        named[_LAST_NORM] = swap_halves(named[_LAST_NORM])
    return named
