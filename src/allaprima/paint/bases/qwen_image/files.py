"""Qwen-Image as ComfyUI and llama.cpp keep it: a file for each part. How each is known, and its tensors' names here.

Transformers bear diffusers' own names; text encoders those of transformers, older or newer, or llama.cpp's;
autoencoders those of Wan 2.1, whose shape they have, or diffusers'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from allaprima.paint.bases.files.header import FileHeader
from allaprima.paint.bases.files.parts import PartFile, find_first_prefix

T = TypeVar("T")

TRANSFORMER_PREFIXES = ("", "model.diffusion_model.", "diffusion_model.", "transformer.")
TEXT_PREFIXES = ("", "text_encoders.qwen25_7b.transformer.", "text_encoders.qwen25_7b.", "text_encoder.")
VAE_PREFIXES = ("", "vae.", "first_stage_model.")

_SIBLINGS = ("__index_timestep_zero__", "time_text_embed.addition_t_embedding.", "controlnet_blocks.")
"""Tensors that only Qwen-Image-Edit-2511, Qwen-Image-Layered and ControlNets have, which are told other things."""

_LLAMA_CPP = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
_LLAMA_CPP_TOP = {"token_embd": "embed_tokens", "output_norm": "norm"}
_LANGUAGE_MODEL = "model.language_model."
_LAYER = re.compile(r"blk\.(\d+)\.(\w+)\.(weight|bias)")


def find_transformer(header: FileHeader) -> str | None:
    """Return the prefix of a transformer of Qwen-Image."""
    prefix = find_first_prefix(
        header, TRANSFORMER_PREFIXES, "txt_norm.weight", "transformer_blocks.0.attn.norm_added_q.weight"
    )
    if prefix is None or not header.starts_with(f"{prefix}transformer_blocks.0.img_mod.1."):
        return None
    return None if header.starts_with(*(f"{prefix}{mark}" for mark in _SIBLINGS)) else prefix


def find_text_encoder(header: FileHeader) -> str | None:
    """Return the prefix of a Qwen2.5-VL; the one without eyes, Qwen2.5, was trained otherwise."""
    if header.container == "gguf":
        is_qwen = header.metadata.get("general.architecture") == "qwen2vl"
        return "" if is_qwen and "token_embd.weight" in header.tensors else None
    for prefix in TEXT_PREFIXES:
        names = {name: f"{prefix}{name}" for name in ("visual.", "model.visual.")}
        layers = (f"{prefix}{start}layers.0.self_attn.q_proj.bias" for start in ("model.", _LANGUAGE_MODEL))
        deep = header.starts_with(*(f"{start}deepstack_merger_list." for start in names.values()))
        if header.starts_with(*names.values()) and any(map(header.tensors.__contains__, layers)) and not deep:
            return prefix
    return None


def find_vae(header: FileHeader) -> str | None:
    """Return the prefix of an autoencoder of Qwen-Image, of Wan 2.1's shape, for pictures of three colours."""
    wan = find_first_prefix(header, VAE_PREFIXES, "decoder.middle.0.residual.0.gamma", "conv1.weight")
    prefix = wan
    if prefix is None:
        prefix = find_first_prefix(
            header, VAE_PREFIXES, "decoder.mid_block.resnets.0.norm1.gamma", "quant_conv.weight"
        )
    if prefix is None:
        return None
    first = header.shape(f"{prefix}encoder.{'conv1' if wan is not None else 'conv_in'}.weight")
    return prefix if len(first) == 5 and first[1] == 3 else None


def text_width(header: FileHeader, prefix: str) -> int:
    """Return how wide the states of a text encoder are; 0 if its file does not say."""
    names = ("model.norm.weight", "model.language_model.norm.weight", "output_norm.weight")
    return next((shape[0] for name in names if (shape := header.shape(f"{prefix}{name}"))), 0)


def _text_fits(main: FileHeader, part: FileHeader) -> bool:
    """Return whether the encoder writes text as wide as the transformer reads it: 3584, and 2048 for the 3B model."""
    prefix, of_text = find_transformer(main), find_text_encoder(part)
    assert prefix is not None
    assert of_text is not None
    return text_input_width(main, prefix) == text_width(part, of_text)


def text_input_width(header: FileHeader, prefix: str) -> int:
    """Return how wide the text is that a transformer reads."""
    return next(iter(header.shape(f"{prefix}txt_norm.weight")), 0)


PARTS = (
    PartFile(part="transformer", name="Qwen-Image's transformer", find_prefix=find_transformer),
    PartFile(
        part="text_encoder",
        name="Qwen2.5-VL 7B",
        find_prefix=find_text_encoder,
        published="qwen_2.5_vl_7b_fp8_scaled.safetensors of Comfy-Org/Qwen-Image_ComfyUI",
        fits=_text_fits,
    ),
    PartFile(
        part="vae",
        name="Qwen-Image's autoencoder",
        find_prefix=find_vae,
        published="qwen_image_vae.safetensors of Comfy-Org/Qwen-Image_ComfyUI",
        passes_for=lambda name: "wan" not in name.lower(),
    ),
)
"""The first is what a base is named by."""


def name_text_weights(weights: Mapping[str, T]) -> dict[str, T]:
    """Return a language model's weights under transformers' names, without head and eyes, which no picture needs."""
    named = ((_text_name(name), weight) for name, weight in weights.items())
    return {name: weight for name, weight in named if name is not None}


def _text_name(name: str) -> str | None:
    if name.startswith(("visual.", "model.visual.", "lm_head.", "output.")) or name.endswith(
        "rotary_emb.inv_freq"
    ):
        return None
    if found := _LAYER.fullmatch(name):
        layer, part, kind = found.groups()
        return f"{_LANGUAGE_MODEL}layers.{layer}.{_LLAMA_CPP.get(part, part)}.{kind}"
    top, _, kind = name.partition(".")
    if top in _LLAMA_CPP_TOP:
        return f"{_LANGUAGE_MODEL}{_LLAMA_CPP_TOP[top]}.{kind}"
    if name.startswith(_LANGUAGE_MODEL) or not name.startswith("model."):
        return name
    return f"{_LANGUAGE_MODEL}{name.removeprefix('model.')}"


def name_vae_weights(weights: Mapping[str, T]) -> dict[str, T]:
    """Return an autoencoder's weights under the names of diffusers."""
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    if "decoder.middle.0.residual.0.gamma" not in weights:
        return dict(weights)
    converted: dict[str, T] = convert_wan_vae_to_diffusers(dict(weights))
    return converted
