"""Reading a Z-Image from a diffusers folder: only safetensors, and only the classes named here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from allaprima.core.base_names import shown_name
from allaprima.core.errors import WeightsError
from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.bases.config_values import is_number, read_positive
from allaprima.paint.bases.diffusers_parts import load_present, move_present
from allaprima.paint.bases.flow_config import SCHEDULER, read_flow_settings
from allaprima.paint.bases.folder import check_parts
from allaprima.paint.bases.qwen3 import ENCODERS, TOKENIZERS, Qwen3Reader, load_qwen3, read_tokenizer
from allaprima.paint.bases.z_image.base import PATCH, ZImageBase
from allaprima.paint.bases.z_image.traits import TRAITS
from allaprima.paint.contract.base import Stage
from allaprima.paint.device.precision import pick_dtype
from allaprima.paint.sampling.flow_schedule import FlowSettings

PARTS = {
    "transformer": ("ZImageTransformer2DModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": ENCODERS,
    "tokenizer": TOKENIZERS,
    "scheduler": (SCHEDULER,),
}
_WEIGHTS = ("transformer", "vae", "text_encoder")
TURBO_SHIFT = 3.0
"""The shift of Z-Image-Turbo, by which it is told from Z-Image, whose parts are named and shaped alike."""
UNDISTILLED = replace(TRAITS.defaults, steps=50, guidance=5.0)
"""What Z-Image paints with, which was not distilled; diffusers counts its guidance from 0 and calls this 4."""


def load_z_image(
    folder: Path,
    *,
    name: str | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    absent: Collection[Stage] = (),
) -> ZImageBase:
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

    from diffusers import AutoencoderKL, ZImageTransformer2DModel

    tokenizer = read_tokenizer(folder / "tokenizer")

    autoencoder = load_present(AutoencoderKL, folder / "vae", dtype, absent="decode" in absent)
    encoder = load_qwen3(folder / "text_encoder", dtype, layers=-1, absent="text" in absent)
    transformer = load_present(
        ZImageTransformer2DModel, folder / "transformer", dtype, absent="predict" in absent
    )
    check_together(folder, transformer.config, autoencoder.config, encoder.config)
    move_present({"decode": autoencoder, "text": encoder, "predict": transformer}, device, absent)
    return ZImageBase(
        transformer=transformer,
        autoencoder=autoencoder,
        text=Qwen3Reader(encoder=encoder, tokenizer=tokenizer, layers=(len(encoder.layers),)),
        name=shown_name(str(folder)) if name is None else name,
        flow=flow,
        defaults=defaults_of(flow),
    )


def defaults_of(flow: FlowSettings) -> RequestDefaults:
    """Return the defaults of Z-Image-Turbo, or of the Z-Image that it was made from."""
    is_turbo = not flow.use_dynamic_shifting and flow.shift == TURBO_SHIFT
    return TRAITS.defaults if is_turbo else UNDISTILLED


def check_together(where: Path, transformer: Any, autoencoder: Any, encoder: Any) -> None:
    """Refuse configurations of different models, and latents that cannot be scaled."""
    try:
        read_positive("scaling_factor", autoencoder.scaling_factor)
        if not is_number(autoencoder.shift_factor):
            raise ValueError(f"got shift_factor {str(autoencoder.shift_factor)[:60]}; expected a number")
    except ValueError as error:
        raise WeightsError(f"the autoencoder in {where} cannot be followed: {error}") from error
    if transformer.in_channels != autoencoder.latent_channels:
        raise WeightsError(
            f"the transformer in {where} takes {transformer.in_channels} channels and the autoencoder makes "
            f"{autoencoder.latent_channels}; expected as many, as in files of one model"
        )
    if transformer.cap_feat_dim != encoder.hidden_size:
        raise WeightsError(
            f"the transformer in {where} reads text of width {transformer.cap_feat_dim} and the text encoder writes "
            f"{encoder.hidden_size}; expected files of one model"
        )
    if tuple(transformer.all_patch_size) != (PATCH,) or transformer.siglip_feat_dim is not None:
        raise WeightsError(
            f"the transformer in {where} is of a kind that Z-Image-Turbo is not; expected patches of 2x2 and no "
            "pictures to look at"
        )
