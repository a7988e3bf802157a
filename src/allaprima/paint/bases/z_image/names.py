"""The names that Z-Image's authors and ComfyUI give its weights, turned into those of diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allaprima.paint.bases.files.renaming import rename_weights

_ATTENTION = r"(\w+\.\d+\.attention)"
_TABLE = (
    (rf"{_ATTENTION}\.qkv\.weight", tuple(rf"\1.to_{part}.weight" for part in "qkv")),
    (rf"{_ATTENTION}\.out\.weight", (r"\1.to_out.0.weight",)),
    (rf"{_ATTENTION}\.(q|k)_norm\.weight", (r"\1.norm_\2.weight",)),
    (r"x_embedder\.(.+)", (r"all_x_embedder.2-1.\1",)),
    (r"final_layer\.(.+)", (r"all_final_layer.2-1.\1",)),
    (r"norm_final\.weight", ()),
)


def name_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return the transformer's weights, announced or stored, under the names of diffusers."""
    return rename_weights(weights, _TABLE)
