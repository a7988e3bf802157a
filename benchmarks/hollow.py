"""Checkpoints of any size that take no room on the disk: real headers, and a hole where the numbers would be.

    hollow = write_hollow(Path("sdxl"), "sdxl", "full", torch.bfloat16)

All weights read as zeros. Memory and speed do not depend on their values, and a file system gives a page of zeros for
every page that is read, so they weigh what real ones do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

Size = Literal["tiny", "medium", "full"]
_WORDS = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}

MEDIUM_UNET: dict[str, Any] = {"block_out_channels": (128, 256, 512), "attention_head_dim": (2, 4, 8)}
MEDIUM_VAE: dict[str, Any] = {"block_out_channels": (64, 128, 256, 256)}
MEDIUM_QWEN: dict[str, Any] = {"num_layers": 8, "num_attention_heads": 8}
MEDIUM_LANGUAGE: dict[str, Any] = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 6, "num_attention_heads": 8,
    "num_key_value_heads": 2, "vocab_size": 152064,
}  # fmt: skip
FULL_LANGUAGE: dict[str, Any] = {
    "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "vocab_size": 152064,
}  # fmt: skip


def write_hollow(folder: Path, family: str, size: Size, dtype: torch.dtype) -> Path:
    """Write a checkpoint of `family`, "sdxl" or "qwen", in diffusers' layout into `folder` and return it."""
    if family == "sdxl":
        from tests.tiny_sdxl import write_tiny_sdxl

        write_tiny_sdxl(folder)
        parts = {} if size == "tiny" else _sdxl(size)
    else:
        from tests.tiny_qwen import write_tiny_qwen

        write_tiny_qwen(folder)
        parts = {} if size == "tiny" else qwen_networks(size)
    for part, network in parts.items():
        _write_part(folder / part, network, dtype)
    return folder


def _sdxl(size: Size) -> dict[str, nn.Module]:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    from allaprima.paint.bases.sdxl.published import AUTOENCODER, TEXT_ENCODER, TEXT_ENCODER_2, UNET

    medium = size == "medium"
    words = {"bos_token_id": 0, "eos_token_id": 2}
    with torch.device("meta"):
        return {
            "unet": UNet2DConditionModel(**{**UNET, **(MEDIUM_UNET if medium else {})}),
            "vae": AutoencoderKL(**{**AUTOENCODER, **(MEDIUM_VAE if medium else {})}),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**{**TEXT_ENCODER, **words})),
            "text_encoder_2": CLIPTextModelWithProjection(CLIPTextConfig(**{**TEXT_ENCODER_2, **words})),
        }


def qwen_networks(size: Size) -> dict[str, nn.Module]:
    """Return the networks of a Qwen-Image of medium or full size, without weights."""
    from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    medium = size == "medium"
    language = MEDIUM_LANGUAGE if medium else FULL_LANGUAGE
    width = language["hidden_size"]
    config = Qwen2_5_VLConfig(
        text_config={
            **language,
            "max_position_embeddings": 2048,
            "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
        },
        vision_config={
            "depth": 2 if medium else 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
            "out_hidden_size": width,
        },
    )  # fmt: skip
    with torch.device("meta"):
        transformer = QwenImageTransformer2DModel(
            **{"joint_attention_dim": width, **(MEDIUM_QWEN if medium else {})}
        )
        return {
            "transformer": transformer,
            "vae": AutoencoderKLQwenImage(base_dim=48 if medium else 96),
            "text_encoder": Qwen2_5_VLForConditionalGeneration(config),
        }


def _write_part(folder: Path, network: Any, dtype: torch.dtype) -> None:
    for old in (*folder.glob("*.safetensors"), *folder.glob("*.json")):
        old.unlink()
    if hasattr(network, "save_config"):
        network.save_config(folder)
        name = "diffusion_pytorch_model.safetensors"
    else:
        network.config.save_pretrained(folder)
        name = "model.safetensors"
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key, tensor in network.state_dict().items():
        begin, end = end, end + tensor.numel() * dtype.itemsize
        header[key] = {
            "dtype": _WORDS[dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (folder / name).open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
