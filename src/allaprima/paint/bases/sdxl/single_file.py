"""Reading SDXL from one `.safetensors` file, in the published layout, which most checkpoints have."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
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
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.header import FileHeader
from allaprima.paint.bases.files.header_reader import read_header
from allaprima.paint.bases.files.other_kinds import find_other
from allaprima.paint.bases.sdxl.files import (
    AUTOENCODER,
    FIRST_TEXT,
    SECOND_TEXT,
    UNET,
    find_vae,
    pruned_shape,
)
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
)
from allaprima.paint.bases.sdxl.published import Shapes
from allaprima.paint.bases.sdxl.text import SdxlText
from allaprima.paint.contract.base import Stage

Converter = Callable[[Tensors], Tensors]

_PARTS = {"UNet": UNET, "first text encoder": FIRST_TEXT, "second text encoder": SECOND_TEXT}


def check_file(path: Path, vae: Path | None = None) -> FileHeader:
    """Return the header of a file that holds a whole SDXL, but perhaps an autoencoder that `vae` stands in for."""
    header = read_header(path)
    absent = [part for part, prefix in _PARTS.items() if not header.starts_with(prefix)]
    if absent in ([], ["UNet"]) and not header.starts_with(AUTOENCODER) and vae is None:
        absent.append("autoencoder")
    if len(absent) == 1 and absent[0] in ("autoencoder", "UNet"):
        raise WeightsError(f"{path} lacks the {absent[0]}; expected a whole SDXL checkpoint")
    if absent:
        raise WeightsError(
            f"{path} is no SDXL checkpoint: it looks like {find_other(header).name}; expected a UNet, an autoencoder "
            "and two text encoders"
        )
    return header


def load_file(
    path: Path, shapes: Shapes, dtype: torch.dtype, absent: Collection[Stage] = (), vae: Path | None = None
) -> Parts:
    """Return the parts in a file; the networks of `absent` stages are made without reading their weights.

    Args:
        vae: a file with the autoencoder, in place of the one that is in the file or is not.
    """
    header = check_file(path, vae)
    # The autoencoder's builder decides its number format; weights of absent stages are not to be read.
    stages: dict[str, Stage] = {UNET: "predict", FIRST_TEXT: "text", SECOND_TEXT: "text"}
    wanted = tuple(prefix for prefix, stage in stages.items() if stage not in absent)
    tensors = read_tensors(path, lambda name: dtype if name.startswith(wanted) else None)
    _give_projection(path, tensors)
    shapes = _shapes_of(tensors, shapes)

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
    # Inpainting checkpoints differ in the width of their first layer alone, pruned ones in how many blocks they have.
    pruned = pruned_shape(header.tensors, shapes.unet)
    shape = {**shapes.unet, "in_channels": _read_channels(tensors), **pruned}
    unet = partial(convert_ldm_unet_checkpoint, config=shape)
    autoencoder = partial(_autoencoder_of, shapes, vae)
    return Parts(
        unet=build("UNet", "predict", build_unet, shape, unet),
        autoencoder=build("autoencoder", "decode", build_autoencoder, shapes.vae, autoencoder),
        text=SdxlText(tokenizers=shapes.tokenizers(), encoders=encoders, zero_empty=True),
        scheduler=_scheduler_of(tensors, header.metadata, shapes.scheduler),
    )


def _read_channels(tensors: Tensors) -> int:
    first = tensors.get(f"{UNET}input_blocks.0.0.weight")
    return LATENT_CHANNELS if first is None or first.ndim != 4 else int(first.shape[1])


def _give_projection(path: Path, tensors: dict[str, Tensor]) -> None:
    """Give the second text encoder's projection its published name; some merges store it as a layer's weight."""
    name = f"{SECOND_TEXT}text_projection"
    if (layer := tensors.pop(f"{name}.weight", None)) is not None:
        tensors.setdefault(name, layer.T.contiguous())
    if name not in tensors:
        raise WeightsError(f"{path} lacks {name}; expected a whole SDXL checkpoint, fetch it again")


def _shapes_of(tensors: Tensors, shapes: Shapes) -> Shapes:
    """Return `shapes` with the statistics of latents that Playground 2.5 keeps beside its weights."""
    if not tensors.keys() >= _PLAYGROUND:
        return shapes
    mean, deviation = (tensors[name].float().flatten().tolist() for name in ("edm_mean", "edm_std"))
    vae = {**shapes.vae, "latents_mean": mean, "latents_std": deviation, "scaling_factor": 0.5}
    return replace(shapes, vae=vae)


def _autoencoder_of(shapes: Shapes, vae: Path | None, tensors: Tensors) -> Tensors:
    # The converter reads all names, so it gets only those of the autoencoder.
    prefix: str | None = AUTOENCODER
    if vae is not None:
        header = read_header(vae)
        prefix, tensors = find_vae(header), read_tensors(vae)
    if prefix is None:
        raise WeightsError(
            f"{vae} does not hold SDXL's autoencoder; expected one, such as sdxl_vae.safetensors"
        )
    latent = {
        name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)
    }
    if "decoder.mid_block.resnets.0.norm1.weight" in latent:
        return latent
    converted: Tensors = convert_ldm_vae_checkpoint(latent, dict(shapes.vae))
    return converted


def _scheduler_of(
    tensors: Tensors, metadata: Mapping[str, str], standard: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the scheduler's settings.

    Empty tensors, as ComfyUI reads them, or metadata say that the model predicts v, and that it was trained down to
    pure noise; other tensors, that it was trained on the levels of EDM (Karras et al. 2022, arXiv:2206.00364).
    """
    if tensors.keys() >= _COSXL:
        low, high = (float(tensors[f"edm_vpred.sigma_{end}"]) for end in ("min", "max"))
        return {
            "_class_name": "EDMEulerScheduler", "sigma_min": low, "sigma_max": high, "sigma_data": 1.0,
            "sigma_schedule": "exponential", "prediction_type": "v_prediction",
        }  # fmt: skip
    if tensors.keys() >= _PLAYGROUND:
        return {
            "_class_name": "EDMDPMSolverMultistepScheduler", "sigma_min": 0.002, "sigma_max": 80.0,
            "sigma_data": 0.5, "prediction_type": "epsilon",
        }  # fmt: skip
    settings = dict(standard)
    told = metadata.get("modelspec.prediction_type", "").lower()
    if (
        "v_pred" in tensors
        or told in ("v", "v_prediction")
        or metadata.get("ss_v_parameterization") == "True"
    ):
        settings["prediction_type"] = "v_prediction"
    if "ztsnr" in tensors or metadata.get("ss_zero_terminal_snr") == "True":
        settings["rescale_betas_zero_snr"] = True
    return settings


_COSXL = {"edm_vpred.sigma_min", "edm_vpred.sigma_max"}
_PLAYGROUND = {"edm_mean", "edm_std"}
