"""The configurations of SDXL's parts, for checkpoints in a single file, which has none.

The numbers are those of the published SDXL 1.0 (arXiv:2307.01952, section 2.1). Turbo, LCM and the checkpoints that
people tuned share them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from allaprima.paint.bases.byte_pairs import byte_letters, read_merges

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

UNET: Mapping[str, Any] = {
    "sample_size": 128, "block_out_channels": (320, 640, 1280), "layers_per_block": 2,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10), "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True, "cross_attention_dim": 2048, "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
AUTOENCODER: Mapping[str, Any] = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
    "latent_channels": 4, "sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True,
}  # fmt: skip
_CLIP: Mapping[str, Any] = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "vocab_size": 49408}
TEXT_ENCODER: Mapping[str, Any] = {
    **_CLIP, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "projection_dim": 768, "hidden_act": "quick_gelu",
}  # fmt: skip
TEXT_ENCODER_2: Mapping[str, Any] = {
    **_CLIP, "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32,
    "num_attention_heads": 20, "projection_dim": 1280, "hidden_act": "gelu",
}  # fmt: skip
SCHEDULER: Mapping[str, Any] = {
    "_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085,
    "beta_end": 0.012, "timestep_spacing": "leading", "steps_offset": 1,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """The configurations of the parts, for the classes of diffusers and transformers, and the two tokenizers."""

    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    text_encoder: Mapping[str, Any]
    text_encoder_2: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    tokenizers: Callable[[], tuple[CLIPTokenizer, CLIPTokenizer]]


@cache
def clip_tokenizers() -> tuple[CLIPTokenizer, CLIPTokenizer]:
    """Return CLIP's tokenizer for each of SDXL's two encoders; the two differ in their padding.

    It is built from the merges that ship: the pieces are 256 bytes, the same at a word's end, then one per merge.
    """
    from transformers import CLIPTokenizer

    merged, letters = read_merges("sdxl/clip_merges.txt.gz"), byte_letters()
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merged)]
    vocabulary = {piece: index for index, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    merges: Any = merged  # the stubs ask for less than the class takes
    first, second = (
        CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=padding, model_max_length=77)
        for padding in ("<|endoftext|>", "!")
    )
    return first, second


PUBLISHED = Shapes(
    unet=UNET, vae=AUTOENCODER, text_encoder=TEXT_ENCODER, text_encoder_2=TEXT_ENCODER_2,
    scheduler=SCHEDULER, tokenizers=clip_tokenizers,
)  # fmt: skip
