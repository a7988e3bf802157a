"""A Segment Anything of the real class at tiny size."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import SamConfig, SamModel
from transformers.models.sam.configuration_sam import (
    SamMaskDecoderConfig,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

SIDE = 64


def write_tiny_sam(folder: Path) -> Path:
    """Write an untrained SAM that looks at 64 x 64 pixels, in transformers' layout."""
    torch.manual_seed(0)
    config = SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=16, output_channels=32, num_hidden_layers=1, num_attention_heads=2, image_size=SIDE,
            patch_size=8, window_size=4, global_attn_indexes=[0], mlp_dim=16, num_pos_feats=16,
        ),
        prompt_encoder_config=SamPromptEncoderConfig(
            hidden_size=32, image_size=SIDE, patch_size=8, mask_input_channels=4,
        ),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=32, mlp_dim=32, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16,
        ),
    )  # fmt: skip
    SamModel(config).save_pretrained(folder)
    return folder
