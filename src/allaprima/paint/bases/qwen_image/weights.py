"""Reading a Qwen-Image checkpoint from a diffusers folder: only safetensors, and only the classes named here."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import nn

from allaprima.core.base_names import shown_name
from allaprima.core.errors import WeightsError
from allaprima.paint.bases.config_values import check_latent_statistics
from allaprima.paint.bases.diffusers_parts import load_present, move_present, read_part
from allaprima.paint.bases.flow_config import SCHEDULER, read_flow_settings
from allaprima.paint.bases.folder import check_parts
from allaprima.paint.bases.qwen_image.base import QwenImageBase
from allaprima.paint.bases.qwen_image.text import PromptEncoder
from allaprima.paint.contract.base import Stage
from allaprima.paint.device.precision import pick_dtype

PARTS = {
    "transformer": ("QwenImageTransformer2DModel",),
    "vae": ("AutoencoderKLQwenImage",),
    "text_encoder": ("Qwen2_5_VLForConditionalGeneration",),
    "tokenizer": ("Qwen2Tokenizer", "Qwen2TokenizerFast"),
    "scheduler": (SCHEDULER,),
}
_WEIGHTS = ("transformer", "vae", "text_encoder")


def load_qwen_image(
    folder: Path,
    *,
    name: str | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    absent: Collection[Stage] = (),
) -> QwenImageBase:
    """Load the checkpoint in `folder`.

    Args:
        folder: with model_index.json, transformer/, text_encoder/, vae/, tokenizer/ and scheduler/.

    Raises:
        WeightsError: a part is missing, of another class, a pickle, damaged, or does not go with the others.
    """
    check_parts(folder, PARTS, weights=_WEIGHTS, tokenizers=("tokenizer",))
    flow = read_flow_settings(folder / "scheduler" / "scheduler_config.json")
    device = torch.device("cpu") if device is None else device
    dtype = pick_dtype(device) if dtype is None else dtype

    from diffusers import QwenImageTransformer2DModel
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

    from allaprima.paint.bases.qwen_image.frames import FrameAutoencoder
    from allaprima.paint.bases.qwen_image.rotary import join_rotary

    tokenizer = read_part(
        folder / "tokenizer", lambda path: Qwen2Tokenizer.from_pretrained(path, local_files_only=True)
    )

    autoencoder = load_present(FrameAutoencoder, folder / "vae", dtype, absent="decode" in absent).flatten()
    encoder = drop_unused_parts(
        load_present(
            Qwen2_5_VLForConditionalGeneration, folder / "text_encoder", dtype, absent="text" in absent
        )
    )
    transformer = load_present(
        QwenImageTransformer2DModel, folder / "transformer", dtype, absent="predict" in absent
    )
    check_together(folder, transformer.config, autoencoder.config, encoder.config)
    move_present({"decode": autoencoder, "text": encoder, "predict": transformer}, device, absent)
    join_rotary(transformer)
    return QwenImageBase(
        transformer=transformer,
        autoencoder=autoencoder,
        text=PromptEncoder(encoder=encoder, tokenizer=tokenizer),
        name=shown_name(str(folder)) if name is None else name,
        flow=flow,
    )


def drop_unused_parts(encoder: Any) -> Any:
    """Return the language model without its vision tower and its head, 1.2 of its 8.3 billion weights."""
    encoder.model.visual = nn.Identity()
    encoder.lm_head = nn.Identity()
    return encoder


def check_together(folder: Path, transformer: Any, autoencoder: Any, encoder: Any) -> None:
    """Refuse parts whose configurations do not go together."""
    try:
        check_latent_statistics(autoencoder.latents_mean, autoencoder.latents_std, autoencoder.z_dim)
    except ValueError as error:
        raise WeightsError(f"{folder / 'vae'} cannot be followed: {error}") from error
    channels, width = transformer.in_channels, transformer.joint_attention_dim
    if channels != 4 * autoencoder.z_dim or transformer.out_channels != autoencoder.z_dim:
        raise WeightsError(
            f"the transformer in {folder} takes {channels} channels and the autoencoder makes {autoencoder.z_dim}; "
            "expected four times as many, as in files of one model"
        )
    if width != encoder.text_config.hidden_size:
        raise WeightsError(
            f"the transformer in {folder} reads text of width {width} and the text encoder writes "
            f"{encoder.text_config.hidden_size}; expected files of one model"
        )
    if transformer.patch_size != 2 or transformer.guidance_embeds:
        raise WeightsError(
            f"the transformer in {folder} is of a kind that Qwen-Image is not; expected patches of 2x2"
        )
