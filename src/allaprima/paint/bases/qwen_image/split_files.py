"""Reading a Qwen-Image that is kept in several files, plain or quantised, as ComfyUI and llama.cpp write them.

    base = load_split_qwen_image({"transformer": path, "text_encoder": encoder, "vae": vae}, device=device)

Weights stay as they are stored: quantised layers take the place of the networks' own (`paint/quantization`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from allaprima.core.base_names import shown_name
from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.parts import PartName
from allaprima.paint.bases.part_reader import Names, PartReader, PartShapes
from allaprima.paint.bases.qwen_image.base import QwenImageBase
from allaprima.paint.bases.qwen_image.files import PARTS, name_text_weights, name_vae_weights
from allaprima.paint.bases.qwen_image.published import (
    FLOW,
    autoencoder_config,
    text_config,
    transformer_config,
)
from allaprima.paint.bases.qwen_image.text import PromptEncoder
from allaprima.paint.bases.qwen_image.weights import check_together, drop_unused_parts
from allaprima.paint.bases.qwen_tokenizer import qwen_tokenizer
from allaprima.paint.contract.base import Stage
from allaprima.paint.device.precision import pick_dtype

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer


def load_split_qwen_image(
    paths: Mapping[PartName, Path],
    *,
    name: str | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    absent: Collection[Stage] = (),
    tokenizer: Callable[[], Qwen2Tokenizer] = qwen_tokenizer,
) -> QwenImageBase:
    """Load the Qwen-Image whose parts are in the files at `paths`, perhaps all in one.

    Raises:
        WeightsError: a part is missing, damaged, quantised in a way that is not read, or goes with no other.
    """
    from allaprima.paint.bases.qwen_image.rotary import join_rotary

    device = torch.device("cpu") if device is None else device
    dtype = pick_dtype(device) if dtype is None else dtype
    names: dict[str, Names] = {
        "text_encoder": name_text_weights,
        "vae": name_vae_weights,
        "transformer": dict,
    }
    predict, text, decode = (PartReader.open(part, paths[part.part], names[part.part]) for part in PARTS)
    made = {
        "text": (text, text.make(_make_text_encoder)),
        "decode": (decode, decode.make(_make_autoencoder)),
        "predict": (predict, predict.make(_make_transformer)),
    }
    encoder, autoencoder, transformer = (network for _, network in made.values())
    check_together(paths["transformer"], transformer.config, autoencoder.config, encoder.config)
    words = tokenizer()
    if len(words) > (known := encoder.config.text_config.vocab_size):
        raise WeightsError(
            f"{paths['text_encoder']} knows {known:,} pieces of words; expected at least "
            f"the {len(words):,} of Qwen2.5"
        )
    for stage, (reader, network) in made.items():
        reader.load(network, dtype, device, absent=stage in absent)
    join_rotary(transformer)
    return QwenImageBase(
        transformer=transformer,
        autoencoder=autoencoder.flatten(),
        text=PromptEncoder(encoder=encoder, tokenizer=words),
        name=shown_name(str(paths["transformer"])) if name is None else name,
        flow=FLOW,
    )


def _make_transformer(shapes: PartShapes) -> Any:
    from diffusers import QwenImageTransformer2DModel

    return QwenImageTransformer2DModel(**transformer_config(shapes))


def _make_text_encoder(shapes: PartShapes) -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    return drop_unused_parts(Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**text_config(shapes))))


def _make_autoencoder(shapes: PartShapes) -> Any:
    from allaprima.paint.bases.qwen_image.frames import FrameAutoencoder

    return FrameAutoencoder(**autoencoder_config(shapes))
