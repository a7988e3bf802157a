"""Qwen3 from a single file: the names of its weights here, and the network of its shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.renaming import rename_weights
from allaprima.paint.bases.part_reader import PartShapes, count_layers, shape_in

_LAYER = r"blk\.(\d+)\."
_TABLE = (
    (rf"{_LAYER}attn_(q|k)_norm\.weight", (r"layers.\1.self_attn.\2_norm.weight",)),
    (rf"{_LAYER}attn_(q|k|v)\.weight", (r"layers.\1.self_attn.\2_proj.weight",)),
    (rf"{_LAYER}attn_output\.weight", (r"layers.\1.self_attn.o_proj.weight",)),
    (rf"{_LAYER}attn_norm\.weight", (r"layers.\1.input_layernorm.weight",)),
    (rf"{_LAYER}ffn_norm\.weight", (r"layers.\1.post_attention_layernorm.weight",)),
    (rf"{_LAYER}ffn_(gate|up|down)\.weight", (r"layers.\1.mlp.\2_proj.weight",)),
    (r"token_embd\.weight", ("embed_tokens.weight",)),
    (r"(?:model\.)?norm\.weight|output_norm\.weight|(?:lm_head|output)\..+|.*rotary_emb\.inv_freq", ()),
    (r"model\.(.+)", (r"\1",)),
)
"""llama.cpp's names and transformers' own, without head and last norm, which no picture needs."""


def name_text_weights(weights: Mapping[str, Any], layers: int) -> dict[str, Any]:
    """Return the weights of the first `layers` layers under the names of transformers' `Qwen3Model`.

    Args:
        weights: announced or stored.
        layers: how many are needed; a negative number leaves out so many.
    """
    named = rename_weights(weights, _TABLE)
    kept = layers if layers > 0 else count_layers(named, "layers") + layers
    return {name: weight for name, weight in named.items() if _layer_of(name) < kept}


def make_text_encoder(shapes: PartShapes) -> Any:
    """Return a `Qwen3Model` of the file's shapes, without its last norm (arXiv:2505.09388)."""
    from torch import nn
    from transformers import Qwen3Config, Qwen3Model

    words, width = shape_in(shapes, "embed_tokens.weight", 2)
    (head,) = shape_in(shapes, "layers.0.self_attn.q_norm.weight", 1)
    heads, kept = (shape_in(shapes, f"layers.0.self_attn.{part}_proj.weight", 2)[0] / head for part in "qk")
    if heads % 1 or kept % 1 or heads % kept:
        raise WeightsError(
            f"the text encoder has {heads:g} and {kept:g} heads of {head}; expected whole ones"
        )
    config = Qwen3Config(
        vocab_size=words, hidden_size=width, head_dim=head, num_attention_heads=int(heads),
        num_key_value_heads=int(kept), num_hidden_layers=count_layers(shapes, "layers"),
        intermediate_size=shape_in(shapes, "layers.0.mlp.gate_proj.weight", 2)[0], max_position_embeddings=40_960,
        rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    )  # fmt: skip
    encoder: Any = Qwen3Model(config)
    encoder.norm = nn.Identity()
    return encoder


def check_vocabulary(path: object, encoder: Any, words: int) -> None:
    """Refuse an encoder that knows fewer pieces of words than the tokenizer makes."""
    if words > encoder.config.vocab_size:
        raise WeightsError(
            f"{path} knows {encoder.config.vocab_size:,} pieces of words; expected at least the {words:,} of Qwen3"
        )


def _layer_of(name: str) -> int:
    """Return the number of the layer that a weight is in; -1 for the table of words."""
    parts = name.split(".")
    return int(parts[1]) if parts[0] == "layers" and parts[1].isdecimal() else -1
