"""Reading a FLUX.2 klein from a diffusers folder: only safetensors, and only the classes named here."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from allaprima.core.base_names import shown_name
from allaprima.core.errors import WeightsError
from allaprima.core.request_defaults import RequestDefaults
from allaprima.paint.bases.diffusers_parts import load_present, move_present
from allaprima.paint.bases.flow_config import SCHEDULER, read_flow_settings
from allaprima.paint.bases.flux2_klein.base import Flux2KleinBase
from allaprima.paint.bases.flux2_klein.traits import TEXT_LAYERS, TRAITS, UNDISTILLED
from allaprima.paint.bases.folder import INDEX, check_parts, read_json
from allaprima.paint.bases.qwen3 import (
    ENCODERS,
    NO_THOUGHTS,
    TOKENIZERS,
    Qwen3Reader,
    load_qwen3,
    read_tokenizer,
)
from allaprima.paint.contract.base import Stage
from allaprima.paint.device.precision import pick_dtype

PARTS = {
    "transformer": ("Flux2Transformer2DModel",),
    "vae": ("AutoencoderKLFlux2",),
    "text_encoder": ENCODERS,
    "tokenizer": TOKENIZERS,
    "scheduler": (SCHEDULER,),
}
_WEIGHTS = ("transformer", "vae", "text_encoder")


def load_flux2_klein(
    folder: Path,
    *,
    name: str | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    absent: Collection[Stage] = (),
) -> Flux2KleinBase:
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

    from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel

    tokenizer = read_tokenizer(folder / "tokenizer")

    autoencoder = load_present(AutoencoderKLFlux2, folder / "vae", dtype, absent="decode" in absent)
    encoder = load_qwen3(folder / "text_encoder", dtype, layers=max(TEXT_LAYERS), absent="text" in absent)
    transformer = load_present(
        Flux2Transformer2DModel, folder / "transformer", dtype, absent="predict" in absent
    )
    check_together(folder, transformer.config, autoencoder.config, encoder.config)
    check_statistics(folder, autoencoder)
    move_present({"decode": autoencoder, "text": encoder, "predict": transformer}, device, absent)
    return Flux2KleinBase(
        transformer=transformer,
        autoencoder=autoencoder,
        text=Qwen3Reader(
            encoder=encoder, tokenizer=tokenizer, layers=TEXT_LAYERS, answer=NO_THOUGHTS, pads=True
        ),
        name=shown_name(str(folder)) if name is None else name,
        flow=flow,
        defaults=_defaults(folder),
    )


def _defaults(folder: Path) -> RequestDefaults:
    """Return the defaults of the distilled model, or of the one that it was made from."""
    return TRAITS.defaults if read_json(folder / INDEX).get("is_distilled", False) else UNDISTILLED


def check_together(where: Path, transformer: Any, autoencoder: Any, encoder: Any) -> None:
    """Refuse parts of different models.

    Args:
        where: for the message.
        transformer: its configuration.
        autoencoder: its configuration.
        encoder: its configuration.
    """
    channels, cells = transformer.in_channels, 4 * autoencoder.latent_channels
    if (channels, transformer.out_channels or channels) != (cells, cells):
        raise WeightsError(
            f"the transformer in {where} takes {channels} channels and the autoencoder makes {cells} of 2x2 cells; "
            "expected as many, as in files of one model"
        )
    width = len(TEXT_LAYERS) * encoder.hidden_size
    if transformer.joint_attention_dim != width:
        raise WeightsError(
            f"the transformer in {where} reads text of width {transformer.joint_attention_dim} and the text encoder "
            f"writes {width}; expected files of one model"
        )
    if transformer.patch_size != 1 or transformer.guidance_embeds:
        raise WeightsError(
            f"the transformer in {where} is told the guidance, as FLUX.2 dev is; expected FLUX.2 klein"
        )


def check_statistics(where: Path, autoencoder: Any) -> None:
    """Refuse an autoencoder by whose statistics latents cannot be scaled."""
    variance = autoencoder.bn.running_var
    if not variance.is_meta and not bool((variance > 0).all()):
        raise WeightsError(f"the autoencoder in {where} has variances that are none; fetch the model again")
