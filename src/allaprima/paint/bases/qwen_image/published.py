"""The configurations of Qwen-Image's parts, for files that bring none.

What a file's shapes tell is taken from them, so that pruned transformers (with fewer layers) load too; the rest is that of
the published Qwen-Image (arXiv:2508.02324) and Qwen2.5-VL 7B (arXiv:2502.13923).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.header import StoredTensor
from allaprima.paint.sampling.flow_schedule import FlowSettings

Shapes = Mapping[str, StoredTensor]
"""A part's tensors, as its file announces them, under the names of diffusers or transformers."""

TEXT_HEAD = 128
"""The width of an attention head of Qwen2.5, which no shape tells."""

FLOW = FlowSettings(
    use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9, base_image_seq_len=256, max_image_seq_len=8192,
    shift=1.0, shift_terminal=0.02, time_shift_type="exponential",
)  # fmt: skip
_MOST_LAYERS = 512
_WIDEST_HEAD = 1024


def transformer_config(shapes: Shapes) -> dict[str, Any]:
    """Return the configuration of a `QwenImageTransformer2DModel`."""
    (head,) = _shape(shapes, "transformer_blocks.0.attn.norm_q.weight", 1)
    inner, channels = _shape(shapes, "img_in.weight", 2)
    if not 8 <= head <= _WIDEST_HEAD or head % 32 or inner % head:
        raise WeightsError(f"the attention has heads of {head} in a width of {inner}; expected whole heads, of 128")
    return {
        "num_layers": _count_layers(shapes, "transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": inner // head,
        "in_channels": channels,
        "out_channels": _shape(shapes, "proj_out.weight", 2)[0] // 4,
        "joint_attention_dim": _shape(shapes, "txt_norm.weight", 1)[0],
        # Of 128, the published head, 16 for frames and 56 for each of height and width.
        "axes_dims_rope": (head // 8, 7 * head // 16, 7 * head // 16),
    }


def text_config(shapes: Shapes) -> dict[str, Any]:
    """Return the configuration of a `Qwen2_5_VLForConditionalGeneration`; its eyes are not made."""
    first = "model.language_model.layers.0"
    words, width = _shape(shapes, "model.language_model.embed_tokens.weight", 2)
    heads, kept = (
        _shape(shapes, f"{first}.self_attn.{part}_proj.weight", 2)[0] // TEXT_HEAD for part in "qk"
    )
    if not (heads and kept and heads * TEXT_HEAD == width and heads % kept == 0):
        raise WeightsError(
            f"the text encoder is {width} wide; expected whole heads of {TEXT_HEAD}, as Qwen2.5-VL 7B has"
        )
    text = {
        "vocab_size": words, "hidden_size": width, "num_attention_heads": heads, "num_key_value_heads": kept,
        "intermediate_size": _shape(shapes, f"{first}.mlp.gate_proj.weight", 2)[0],
        "num_hidden_layers": _count_layers(shapes, "model.language_model.layers"),
        "max_position_embeddings": 128_000, "rms_norm_eps": 1e-6, "bos_token_id": 151_643, "eos_token_id": 151_645,
        "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1_000_000.0},
    }  # fmt: skip
    eyes = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": width}
    return {"text_config": text, "vision_config": eyes}


def autoencoder_config(shapes: Shapes) -> dict[str, Any]:
    """Return the configuration of an `AutoencoderKLQwenImage`; the statistics of its latents are the published ones."""
    width, channels, *_ = _shape(shapes, "encoder.conv_in.weight", 5)
    return {"base_dim": width, "z_dim": _shape(shapes, "post_quant_conv.weight", 5)[0], "input_channels": channels}


def _shape(shapes: Shapes, name: str, num_sides: int) -> tuple[int, ...]:
    found = shapes[name].shape if name in shapes else None
    if found is None or len(found) != num_sides or min(found) < 1:
        raise WeightsError(
            f"{name} {'is not there' if found is None else f'has the shape {list(found)}'}; expected {num_sides} sides, "
            "as in a whole file"
        )
    return found


def _count_layers(names: Iterable[str], parent: str) -> int:
    layer = re.compile(rf"{re.escape(parent)}\.(\d{{1,6}})\.")
    count = len({found[1] for name in names if (found := layer.match(name))})
    if not 1 <= count <= _MOST_LAYERS:
        raise WeightsError(f"there are {count:,} layers; expected 1 to {_MOST_LAYERS}")
    return count
