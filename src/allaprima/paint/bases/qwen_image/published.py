"""The configurations of Qwen-Image's parts, for files that bring none.

What a file's shapes tell is taken from them, so that pruned transformers (with fewer layers) load too; the rest is as
published with Qwen-Image (arXiv:2508.02324) and Qwen2.5-VL 7B (arXiv:2502.13923).
"""

from __future__ import annotations

from typing import Any

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.part_reader import PartShapes, count_layers, shape_in
from allaprima.paint.sampling.flow_schedule import FlowSettings

TEXT_HEAD = 128
"""The width of an attention head of Qwen2.5, which no shape tells."""

FLOW = FlowSettings(
    use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9, base_image_seq_len=256, max_image_seq_len=8192,
    shift=1.0, shift_terminal=0.02, time_shift_type="exponential",
)  # fmt: skip
_WIDEST_HEAD = 1024


def transformer_config(shapes: PartShapes) -> dict[str, Any]:
    """Return the configuration of a `QwenImageTransformer2DModel`."""
    (head,) = shape_in(shapes, "transformer_blocks.0.attn.norm_q.weight", 1)
    inner, channels = shape_in(shapes, "img_in.weight", 2)
    if not 8 <= head <= _WIDEST_HEAD or head % 32 or inner % head:
        raise WeightsError(
            f"the attention has heads of {head} in a width of {inner}; expected whole heads, of 128"
        )
    return {
        "num_layers": count_layers(shapes, "transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": inner // head,
        "in_channels": channels,
        "out_channels": shape_in(shapes, "proj_out.weight", 2)[0] // 4,
        "joint_attention_dim": shape_in(shapes, "txt_norm.weight", 1)[0],
        # Of 128, the published head, 16 for frames and 56 for each of height and width.
        "axes_dims_rope": (head // 8, 7 * head // 16, 7 * head // 16),
    }


def text_config(shapes: PartShapes) -> dict[str, Any]:
    """Return the configuration of a `Qwen2_5_VLForConditionalGeneration`; its eyes are not made."""
    first = "model.language_model.layers.0"
    words, width = shape_in(shapes, "model.language_model.embed_tokens.weight", 2)
    heads, kept = (
        shape_in(shapes, f"{first}.self_attn.{part}_proj.weight", 2)[0] // TEXT_HEAD for part in "qk"
    )
    if not (heads and kept and heads * TEXT_HEAD == width and heads % kept == 0):
        raise WeightsError(
            f"the text encoder is {width} wide; expected whole heads of {TEXT_HEAD}, as Qwen2.5-VL 7B has"
        )
    text = {
        "vocab_size": words, "hidden_size": width, "num_attention_heads": heads, "num_key_value_heads": kept,
        "intermediate_size": shape_in(shapes, f"{first}.mlp.gate_proj.weight", 2)[0],
        "num_hidden_layers": count_layers(shapes, "model.language_model.layers"),
        "max_position_embeddings": 128_000, "rms_norm_eps": 1e-6, "bos_token_id": 151_643, "eos_token_id": 151_645,
        "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1_000_000.0},
    }  # fmt: skip
    eyes = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": width}
    return {"text_config": text, "vision_config": eyes}


def autoencoder_config(shapes: PartShapes) -> dict[str, Any]:
    """Return the configuration of an `AutoencoderKLQwenImage`; its latents' statistics are the published ones."""
    width, channels, *_ = shape_in(shapes, "encoder.conv_in.weight", 5)
    return {
        "base_dim": width,
        "z_dim": shape_in(shapes, "post_quant_conv.weight", 5)[0],
        "input_channels": channels,
    }
