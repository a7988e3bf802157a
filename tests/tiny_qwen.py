"""A Qwen-Image of the real classes and the real file layout, too small to have learned anything.

    folder = write_tiny_qwen(tmp_path / "qwen")

The tokenizer is the real one over bytes, so that every text can be read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from tokenizers import pre_tokenizers
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

TEXT_WIDTH = 32
CHANNELS = 4
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

PUBLISHED: dict[str, Any] = {
    "base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 8192, "max_shift": 0.9,
    "num_train_timesteps": 1000, "shift": 1.0, "shift_terminal": 0.02, "time_shift_type": "exponential",
    "use_dynamic_shifting": True,
}  # fmt: skip
"""The scheduler_config.json of Qwen-Image."""

LIGHTNING: dict[str, Any] = {
    **PUBLISHED, "base_shift": 1.0986122886681098, "max_shift": 1.0986122886681098, "shift_terminal": None,
}  # fmt: skip
"""What diffusers documents for the Lightning LoRAs: shift e^ln 3."""


def write_tiny_qwen(
    folder: Path,
    *,
    scheduler: dict[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
    shard: str = "10GB",
) -> Path:
    """Write a checkpoint into `folder` and return it.

    Args:
        folder: where to.
        scheduler: its scheduler_config.json; None for the published one.
        dtype: what the weights are stored in.
        shard: the largest size of a weight file, such as "100KB".
    """
    make_tiny_pipeline(scheduler).to(dtype).save_pretrained(
        folder, safe_serialization=True, max_shard_size=shard
    )
    return folder


def make_tiny_pipeline(scheduler: dict[str, Any] | None = None) -> QwenImagePipeline:
    """Return stock diffusers' pipeline over tiny networks, the same at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = byte_tokenizer()
        pipeline = QwenImagePipeline(
            transformer=_transformer(),
            vae=_autoencoder(),
            text_encoder=_text_encoder(len(tokenizer)),
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(**(scheduler or PUBLISHED)),
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def byte_tokenizer() -> Qwen2Tokenizer:
    """Return Qwen's tokenizer without any merges: a token per byte."""
    pieces = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Qwen2Tokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL[1:])})
    return tokenizer


def _transformer() -> QwenImageTransformer2DModel:
    model = QwenImageTransformer2DModel(
        in_channels=4 * CHANNELS,
        out_channels=CHANNELS,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=TEXT_WIDTH,
        axes_dims_rope=(4, 6, 6),
    )
    return model.eval()


def _autoencoder() -> AutoencoderKLQwenImage:
    mean, deviation = torch.linspace(-0.5, 0.5, CHANNELS), torch.linspace(0.8, 1.9, CHANNELS)
    model = AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=CHANNELS,
        num_res_blocks=1,
        latents_mean=mean.tolist(),
        latents_std=deviation.tolist(),
    )
    return model.eval()


def _text_encoder(words: int) -> Qwen2_5_VLForConditionalGeneration:
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": words, "hidden_size": TEXT_WIDTH, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 2048,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1000000.0},
        },
        vision_config={
            "depth": 1, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": TEXT_WIDTH,
            "patch_size": 14, "fullatt_block_indexes": [0],
        },
    )  # fmt: skip
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.train(mode=False)
    return model
