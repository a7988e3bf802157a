"""A FLUX.2 klein of the real classes and the real file layout, too small to have learned anything.

folder = write_tiny_klein(tmp_path / "klein")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
)
from tests.tiny_qwen3 import TEXT_WIDTH, chat_tokenizer, text_encoder

CHANNELS = 4

PUBLISHED: dict[str, Any] = {
    "base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15,
    "num_train_timesteps": 1000, "shift": 3.0, "time_shift_type": "exponential", "use_dynamic_shifting": True,
}  # fmt: skip
"""The scheduler_config.json of FLUX.2 klein."""


def write_tiny_klein(folder: Path, *, is_distilled: bool = True, dtype: torch.dtype = torch.float32) -> Path:
    """Write a checkpoint into `folder` and return it."""
    make_tiny_klein(is_distilled=is_distilled).to(dtype).save_pretrained(folder, safe_serialization=True)
    return folder


def make_tiny_klein(*, is_distilled: bool = True) -> Flux2KleinPipeline:
    """Return stock diffusers' pipeline over tiny networks, the same at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = chat_tokenizer()
        pipeline = Flux2KleinPipeline(
            transformer=transformer(),
            vae=_autoencoder(),
            text_encoder=text_encoder(len(tokenizer), layers=28),
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(**PUBLISHED),
            is_distilled=is_distilled,
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def transformer() -> Flux2Transformer2DModel:
    """Return a transformer of one double and two single blocks."""
    model = Flux2Transformer2DModel(
        in_channels=4 * CHANNELS, num_layers=1, num_single_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=3 * TEXT_WIDTH, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
    )  # fmt: skip
    return model.eval()


def _autoencoder() -> AutoencoderKLFlux2:
    model = AutoencoderKLFlux2(
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, latent_channels=CHANNELS, norm_num_groups=4,
        sample_size=64,
    )  # fmt: skip
    model.bn.running_mean = torch.linspace(-0.5, 0.5, 4 * CHANNELS)
    model.bn.running_var = torch.linspace(0.7, 2.5, 4 * CHANNELS)
    return model.eval()
