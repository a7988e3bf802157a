"""KL autoencoders from single files, whose weights bear the names of Stable Diffusion's first code or diffusers'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.renaming import rename_weights
from allaprima.paint.bases.files.tensor_views import as_matrix
from allaprima.paint.bases.part_reader import PartShapes, count_layers, shape_in

GROUPS = 32
"""Of its group norms, which no shape tells."""

_TABLE = (
    (r"(encoder)\.down\.(\d+)\.block\.(.+)", (r"\1.down_blocks.\2.resnets.\3",)),
    (r"(encoder)\.down\.(\d+)\.downsample\.(.+)", (r"\1.down_blocks.\2.downsamplers.0.\3",)),
    (r"(decoder)\.up\.(\d+)\.block\.(.+)", (r"\1.up_blocks.\2.resnets.\3",)),
    (r"(decoder)\.up\.(\d+)\.upsample\.(.+)", (r"\1.up_blocks.\2.upsamplers.0.\3",)),
    (r"(\w+)\.mid\.block_1\.(.+)", (r"\1.mid_block.resnets.0.\2",)),
    (r"(\w+)\.mid\.block_2\.(.+)", (r"\1.mid_block.resnets.1.\2",)),
    (r"(\w+)\.mid\.attn_1\.norm\.(.+)", (r"\1.mid_block.attentions.0.group_norm.\2",)),
    (r"(\w+)\.mid\.attn_1\.([qkv])\.(.+)", (r"\1.mid_block.attentions.0.to_\2.\3",)),
    (r"(\w+)\.mid\.attn_1\.proj_out\.(.+)", (r"\1.mid_block.attentions.0.to_out.0.\2",)),
    (r"(\w+)\.norm_out\.(.+)", (r"\1.conv_norm_out.\2",)),
    (r"(?:en|de)coder\.((?:post_)?quant_conv\..+)", (r"\1",)),
    (r"bn\.num_batches_tracked", ()),
)


def name_autoencoder_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return an autoencoder's weights, announced or stored, under the names of diffusers."""
    is_ldm = any(name.startswith("decoder.up.") for name in weights)
    named = rename_weights(weights, _TABLE)
    if is_ldm:
        last = count_layers(named, "decoder.up_blocks") - 1
        named = {_ours(name, last): weight for name, weight in named.items()}
    return {name: as_matrix(weight) if _is_attention(name) else weight for name, weight in named.items()}


def autoencoder_config(shapes: PartShapes) -> dict[str, Any]:
    """Return what the shapes tell of the configuration of an `AutoencoderKL` or an `AutoencoderKLFlux2`."""
    levels = count_layers(shapes, "encoder.down_blocks")
    widths = [
        shape_in(shapes, f"encoder.down_blocks.{level}.resnets.0.conv1.weight", 4)[0]
        for level in range(levels)
    ]
    if any(width % GROUPS for width in widths):
        raise WeightsError(f"the autoencoder is {widths} wide; expected multiples of {GROUPS}")
    return {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": tuple(widths),
        "layers_per_block": count_layers(shapes, "encoder.down_blocks.0.resnets"),
        "latent_channels": shape_in(shapes, "decoder.conv_in.weight", 4)[1],
        "norm_num_groups": GROUPS,
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
        "sample_size": 1024,
    }


def decoder_widths(shapes: PartShapes) -> tuple[int, ...]:
    """Return the widths of the decoder's levels, which may differ from the encoder's, the finest first."""
    levels = count_layers(shapes, "decoder.up_blocks")
    firsts = (f"decoder.up_blocks.{level}.resnets.0.conv1.weight" for level in reversed(range(levels)))
    return tuple(shape_in(shapes, first, 4)[0] for first in firsts)


def _ours(name: str, last: int) -> str:
    """Return a name with the decoder's levels counted from the coarsest, and a shortcut's name in diffusers."""
    turned = re.sub(
        r"^decoder\.up_blocks\.(\d+)", lambda found: f"decoder.up_blocks.{last - int(found[1])}", name
    )
    return turned.replace(".nin_shortcut.", ".conv_shortcut.")


def _is_attention(name: str) -> bool:
    return ".attentions." in name and name.endswith(".weight")
