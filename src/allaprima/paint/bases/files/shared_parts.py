"""Parts that several families share, told from their names: the language model Qwen3, and KL autoencoders."""

from __future__ import annotations

from allaprima.paint.bases.files.header import FileHeader
from allaprima.paint.bases.files.parts import find_first_prefix

QWEN3_PREFIXES = (
    "", "text_encoders.qwen3_4b.transformer.", "text_encoders.qwen3_4b.", "text_encoders.qwen3_8b.transformer.",
    "text_encoder.",
)  # fmt: skip
VAE_PREFIXES = ("", "vae.", "first_stage_model.")


def find_qwen3(header: FileHeader) -> str | None:
    """Return the prefix of a Qwen3 without eyes."""
    if header.container == "gguf":
        is_qwen3 = header.metadata.get("general.architecture") == "qwen3"
        return "" if is_qwen3 and "token_embd.weight" in header.tensors else None
    prefix = find_first_prefix(
        header, QWEN3_PREFIXES, "model.layers.0.self_attn.q_norm.weight", "model.embed_tokens.weight"
    )
    if prefix is None or header.starts_with(f"{prefix}visual.", f"{prefix}model.visual."):
        return None
    return prefix


def qwen3_width(header: FileHeader, prefix: str) -> int:
    """Return how wide the encoder's states are; 0 if its file does not say."""
    names = ("model.norm.weight", "output_norm.weight", "model.layers.0.input_layernorm.weight")
    return next((shape[0] for name in names if (shape := header.shape(f"{prefix}{name}"))), 0)


def find_autoencoder(header: FileHeader, channels: int) -> str | None:
    """Return the prefix of an autoencoder of pictures with so many channels of latents."""
    for prefix in VAE_PREFIXES:
        latents = header.shape(f"{prefix}decoder.conv_in.weight")
        parts = (
            f"{prefix}decoder.mid.block_1.norm1.weight",
            f"{prefix}decoder.mid_block.resnets.0.norm1.weight",
        )
        if len(latents) == 4 and latents[1] == channels and any(map(header.tensors.__contains__, parts)):
            return prefix
    return None
