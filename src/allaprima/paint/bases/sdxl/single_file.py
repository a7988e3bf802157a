"""Reading SDXL from one `.safetensors` file, in the published layout, which most checkpoints have."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors import SafetensorError, safe_open
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.sdxl.parts import (
    LATENT_CHANNELS,
    Builder,
    M,
    Parts,
    Tensors,
    build_autoencoder,
    build_text_encoder,
    build_unet,
    read_tensors,
    refuse_pickle,
    unreadable,
)
from allaprima.paint.bases.sdxl.published import Shapes
from allaprima.paint.bases.sdxl.text import SdxlText
from allaprima.paint.contract.base import Stage

Converter = Callable[[Tensors], Tensors]

UNET = "model.diffusion_model."
AUTOENCODER = "first_stage_model."
FIRST_TEXT = "conditioner.embedders.0.transformer."
SECOND_TEXT = "conditioner.embedders.1.model."

# Prefixes of tensors in other kinds of files; the first match counts.
_OTHERS = (
    ("lora_", "a LoRA; give it with --lora"),
    ("unet.", "a LoRA; give it with --lora"),
    ("cond_stage_model.transformer.", "Stable Diffusion 1"),
    ("cond_stage_model.model.", "Stable Diffusion 2"),
    ("conditioner.embedders.0.model.", "SDXL's refiner"),
    ("control_model.", "a ControlNet"),
    ("double_blocks.", "Flux"),
    ("model.diffusion_model.double_blocks.", "Flux"),
    ("joint_blocks.", "Stable Diffusion 3"),
    ("model.diffusion_model.joint_blocks.", "Stable Diffusion 3"),
    ("transformer_blocks.0.img_mod.", "Qwen-Image"),
    ("model.diffusion_model.transformer_blocks.0.img_mod.", "Qwen-Image"),
    ("first_stage_model.", "an autoencoder alone"),
    ("decoder.", "an autoencoder alone"),
    ("down_blocks.", "one part of a diffusers folder; give the whole folder"),
)
_PARTS = {
    "UNet": UNET, "autoencoder": AUTOENCODER, "first text encoder": FIRST_TEXT, "second text encoder": SECOND_TEXT,
}  # fmt: skip


def check_file(path: Path) -> None:
    """Refuse a file that does not hold a whole SDXL, by the names of its tensors alone."""
    refuse_pickle(path)
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from error
    absent = [part for part, prefix in _PARTS.items() if not any(name.startswith(prefix) for name in names)]
    if absent in (["autoencoder"], ["UNet"]):
        raise WeightsError(f"{path} lacks the {absent[0]}; expected a whole SDXL checkpoint")
    if absent:
        raise WeightsError(
            f"{path} is no SDXL checkpoint: {_looks(names)}; expected a UNet, an autoencoder and two text encoders"
        )


def _looks(names: list[str]) -> str:
    for mark, kind in _OTHERS:
        if any(name.startswith(mark) for name in names):
            return f"it looks like {kind}"
    return f"its first tensor is {min(names)[:80]!r}" if names else "it holds no tensors"


def load_file(path: Path, shapes: Shapes, dtype: torch.dtype, absent: Collection[Stage] = ()) -> Parts:
    """Return the parts in a file; the networks of `absent` stages are made without reading their weights."""
    check_file(path)
    # The autoencoder's builder decides its number format; weights of absent stages are not to be read.
    stages: dict[str, Stage] = {UNET: "predict", FIRST_TEXT: "text", SECOND_TEXT: "text"}
    wanted = tuple(prefix for prefix, stage in stages.items() if stage not in absent)
    tensors = read_tensors(path, lambda name: dtype if name.startswith(wanted) else None)

    def build(part: str, stage: Stage, model: Builder[M], shape: Mapping[str, Any], convert: Converter) -> M:
        return model(f"the {part} in {path}", shape, None if stage in absent else convert(tensors), dtype)

    first = partial(build_text_encoder, CLIPTextModel)
    second = partial(build_text_encoder, CLIPTextModelWithProjection)
    # The converter reads a width from the model only where there is no projection, and SDXL has one.
    open_clip = partial(convert_open_clip_checkpoint, None, prefix=SECOND_TEXT)
    encoders = (
        build("first text encoder", "text", first, shapes.text_encoder, convert_ldm_clip_checkpoint),
        build("second text encoder", "text", second, shapes.text_encoder_2, open_clip),
    )
    # Inpainting checkpoints differ in the width of their first layer alone.
    shape = {**shapes.unet, "in_channels": _read_channels(tensors)}
    unet = partial(convert_ldm_unet_checkpoint, config=shape)
    autoencoder = partial(_autoencoder_of, shapes)
    return Parts(
        unet=build("UNet", "predict", build_unet, shape, unet),
        autoencoder=build("autoencoder", "decode", build_autoencoder, shapes.vae, autoencoder),
        text=SdxlText(tokenizers=shapes.tokenizers(), encoders=encoders, zero_empty=True),
        scheduler=_scheduler_of(tensors, shapes.scheduler),
    )


def _read_channels(tensors: Tensors) -> int:
    first = tensors.get(f"{UNET}input_blocks.0.0.weight")
    return LATENT_CHANNELS if first is None or first.ndim != 4 else int(first.shape[1])


def _autoencoder_of(shapes: Shapes, tensors: Tensors) -> Tensors:
    # This converter reads all names, so it gets only those of the autoencoder.
    latent = {name: tensor for name, tensor in tensors.items() if name.startswith(AUTOENCODER)}
    converted: Tensors = convert_ldm_vae_checkpoint(latent, dict(shapes.vae))
    return converted


def _scheduler_of(tensors: Tensors, standard: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the scheduler's settings; two empty tensors mean v-prediction, and training down to pure noise."""
    settings = dict(standard)
    if "v_pred" in tensors:
        settings["prediction_type"] = "v_prediction"
    if "ztsnr" in tensors:
        settings["rescale_betas_zero_snr"] = True
    return settings
