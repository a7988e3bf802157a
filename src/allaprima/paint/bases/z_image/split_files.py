"""Reading a Z-Image that is kept in several files, plain or quantised, as ComfyUI and llama.cpp write them.

    base = load_split_z_image({"transformer": path, "text_encoder": encoder, "vae": vae}, device=device)

What the files' shapes tell of the networks is taken from them, the rest is that of the published Z-Image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from allaprima.core.base_names import shown_name
from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.parts import PartName
from allaprima.paint.bases.ldm_autoencoder import autoencoder_config, name_autoencoder_weights
from allaprima.paint.bases.part_reader import Names, PartReader, PartShapes, count_layers, shape_in
from allaprima.paint.bases.qwen3 import Qwen3Reader
from allaprima.paint.bases.qwen3_files import check_vocabulary, make_text_encoder, name_text_weights
from allaprima.paint.bases.qwen_tokenizer import qwen3_tokenizer
from allaprima.paint.bases.z_image.base import PATCH, ZImageBase
from allaprima.paint.bases.z_image.files import PARTS
from allaprima.paint.bases.z_image.names import name_weights
from allaprima.paint.bases.z_image.weights import TURBO_SHIFT, check_together, defaults_of
from allaprima.paint.contract.base import Stage
from allaprima.paint.device.precision import pick_dtype
from allaprima.paint.sampling.flow_schedule import FlowSettings

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer

SHIFT = 6.0
"""The shift of Z-Image, of which Turbo was made."""
_UNDISTILLED = re.compile(r"z[-_ ]?image[-_ ]?(?:base|bf16|fp16|fp8|fp32|q\d)", re.IGNORECASE)
"""Names of its files, such as z_image_bf16: nothing inside them tells them from Turbo's."""


def load_split_z_image(
    paths: Mapping[PartName, Path],
    *,
    name: str | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    absent: Collection[Stage] = (),
    tokenizer: Callable[[], Qwen2Tokenizer] = qwen3_tokenizer,
) -> ZImageBase:
    """Load the Z-Image whose parts are in the files at `paths`, perhaps all in one.

    Nothing inside a file tells Turbo from the model it was made of, so its name does, see `_UNDISTILLED`.

    Raises:
        WeightsError: a part is missing, damaged, quantised in a way that is not read, or goes with no other.
    """
    device = torch.device("cpu") if device is None else device
    dtype = pick_dtype(device) if dtype is None else dtype
    names: dict[PartName, Names] = {
        "transformer": name_weights,
        "text_encoder": partial(name_text_weights, layers=-1),
        "vae": name_autoencoder_weights,
    }
    predict, text, decode = (PartReader.open(part, paths[part.part], names[part.part]) for part in PARTS)
    encoder, autoencoder = text.make(make_text_encoder), decode.make(make_autoencoder)
    transformer = predict.make(make_transformer)
    check_together(paths["transformer"], transformer.config, autoencoder.config, encoder.config)
    words = tokenizer()
    check_vocabulary(paths["text_encoder"], encoder, len(words))
    text.load(encoder, dtype, device, absent="text" in absent)
    decode.load(autoencoder, dtype, device, absent="decode" in absent)
    predict.load(transformer, dtype, device, absent="predict" in absent)
    is_turbo = not _UNDISTILLED.search(paths["transformer"].stem)
    flow = FlowSettings(shift=TURBO_SHIFT if is_turbo else SHIFT)
    return ZImageBase(
        transformer=transformer,
        autoencoder=autoencoder,
        text=Qwen3Reader(encoder=encoder, tokenizer=words, layers=(len(encoder.layers),)),
        name=shown_name(str(paths["transformer"])) if name is None else name,
        flow=flow,
        defaults=defaults_of(flow),
    )


def make_transformer(shapes: PartShapes) -> Any:
    """Return a `ZImageTransformer2DModel` of the file's shapes."""
    from diffusers import ZImageTransformer2DModel

    dim, patch = shape_in(shapes, "all_x_embedder.2-1.weight", 2)
    (head,) = shape_in(shapes, "layers.0.attention.norm_q.weight", 1)
    if head % 16 or dim % head or patch % PATCH**2:
        raise WeightsError(
            f"the attention has heads of {head} in a width of {dim}; expected whole heads, of 128"
        )
    return ZImageTransformer2DModel(
        in_channels=patch // PATCH**2,
        dim=dim,
        n_layers=count_layers(shapes, "layers"),
        n_refiner_layers=count_layers(shapes, "noise_refiner"),
        n_heads=dim // head,
        n_kv_heads=dim // head,
        cap_feat_dim=shape_in(shapes, "cap_embedder.1.weight", 2)[1],
        # Of 128, the published head, 32 for the text and the order of frames, 48 for each of height and width.
        axes_dims=[head // 4, 3 * head // 8, 3 * head // 8],
        axes_lens=[1536, 512, 512],
    )


def make_autoencoder(shapes: PartShapes) -> Any:
    """Return an `AutoencoderKL` of the file's shapes; its latents are scaled as FLUX.1's."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(**autoencoder_config(shapes), scaling_factor=0.3611, shift_factor=0.1159)
