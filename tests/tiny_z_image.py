"""A Z-Image-Turbo of the real classes and the real file layout, too small to have learned anything.

folder = write_tiny_z_image(tmp_path / "z-image")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from tests.tiny_qwen3 import TEXT_WIDTH, chat_tokenizer, text_encoder

CHANNELS = 4

TURBO: dict[str, Any] = {"num_train_timesteps": 1000, "shift": 3.0, "use_dynamic_shifting": False}
"""The scheduler_config.json of Z-Image-Turbo."""

DYNAMIC: dict[str, Any] = {"num_train_timesteps": 1000, "shift": 6.0, "use_dynamic_shifting": True}
"""One that shifts by the size."""


def write_tiny_z_image(
    folder: Path, *, scheduler: dict[str, Any] | None = None, dtype: torch.dtype = torch.float32
) -> Path:
    """Write a checkpoint into `folder` and return it."""
    make_tiny_z_image(scheduler).to(dtype).save_pretrained(folder, safe_serialization=True)
    return folder


def make_tiny_z_image(scheduler: dict[str, Any] | None = None) -> ZImagePipeline:
    """Return stock diffusers' pipeline over tiny networks, the same at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = chat_tokenizer()
        pipeline = ZImagePipeline(
            transformer=transformer(),
            vae=_autoencoder(),
            text_encoder=text_encoder(len(tokenizer), layers=4),
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(**(scheduler or TURBO)),
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def transformer() -> ZImageTransformer2DModel:
    """Return a transformer of two layers behind a refiner each for picture and text."""
    model = ZImageTransformer2DModel(
        in_channels=CHANNELS, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2,
        cap_feat_dim=TEXT_WIDTH, axes_dims=[4, 6, 6], axes_lens=[640, 64, 64],
    )  # fmt: skip
    with torch.no_grad():
        for token in (model.x_pad_token, model.cap_pad_token):
            token.normal_(std=0.5)
    return model.eval()


def _autoencoder() -> AutoencoderKL:
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, latent_channels=CHANNELS, norm_num_groups=4,
        scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False, sample_size=64,
    )  # fmt: skip
    return model.eval()
