"""Reading SDXL from a diffusers folder: a subfolder per part, weights as safetensors, whole or in shards."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.folder import INDEX, VARIANTS, check_parts, read_json, read_pipeline, read_shards
from allaprima.paint.bases.sdxl.parts import (
    Builder,
    M,
    Parts,
    build_autoencoder,
    build_text_encoder,
    build_unet,
    read_tensors,
)
from allaprima.paint.bases.sdxl.published import Shapes
from allaprima.paint.bases.sdxl.text import SdxlText
from allaprima.paint.bases.sdxl.traits import PIPELINES
from allaprima.paint.contract.base import Stage

_WEIGHTS = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("CLIPTextModel",),
    "text_encoder_2": ("CLIPTextModelWithProjection",),
}
# transformers once had the same tokenizer under a second name.
_TOKENIZERS = dict.fromkeys(("tokenizer", "tokenizer_2"), ("CLIPTokenizer", "CLIPTokenizerFast"))


def load_folder(path: Path, shapes: Shapes, dtype: torch.dtype, absent: Collection[Stage] = ()) -> Parts:
    """Return the parts in a diffusers folder, whose own configurations replace `shapes`.

    The networks of `absent` stages are made without reading their weights.
    """
    del shapes
    check_folder(path)
    first, second = (
        partial(build_text_encoder, CLIPTextModel),
        partial(build_text_encoder, CLIPTextModelWithProjection),
    )
    encoders = (
        _part(path, "text_encoder", first, dtype, empty="text" in absent),
        _part(path, "text_encoder_2", second, dtype, empty="text" in absent),
    )
    return Parts(
        unet=_part(path, "unet", build_unet, dtype, empty="predict" in absent),
        autoencoder=_part(path, "vae", build_autoencoder, dtype, empty="decode" in absent),
        text=SdxlText(
            tokenizers=(_tokenizer(path, "tokenizer"), _tokenizer(path, "tokenizer_2")),
            encoders=encoders,
            zero_empty=bool(read_json(path / INDEX).get("force_zeros_for_empty_prompt", True)),
        ),
        scheduler=_scheduler(path),
    )


def _scheduler(path: Path) -> dict[str, Any]:
    """Return the scheduler's settings, for the class that the index names: the file's own note may be another's."""
    config, named = (
        read_json(path / "scheduler" / "scheduler_config.json"),
        read_json(path / INDEX).get("scheduler"),
    )
    is_pair = isinstance(named, list) and len(named) == 2 and isinstance(named[1], str)
    return {**config, "_class_name": named[1]} if is_pair and named is not None else config


def check_folder(path: Path) -> None:
    """Refuse, before anything is loaded, a folder without all parts of an SDXL pipeline."""
    pipeline = read_pipeline(path)
    if pipeline not in PIPELINES:
        raise WeightsError(f"{path} is a {pipeline[:60]}; expected a {PIPELINES[0]}")
    check_parts(path, {**_WEIGHTS, **_TOKENIZERS}, weights=_WEIGHTS, tokenizers=_TOKENIZERS)


def _part(
    path: Path,
    part: str,
    build: Builder[M],
    dtype: torch.dtype,
    *,
    empty: bool,
) -> M:
    folder = path / part
    # Its builder decides the autoencoder's number format, and it is small.
    wanted = None if part == "vae" else dtype
    tensors: dict[str, Tensor] = {}
    for file in () if empty else _weight_files(folder):
        tensors |= read_tensors(file, lambda _: wanted)
    return build(str(folder), read_json(folder / "config.json"), None if empty else tensors, dtype)


def _weight_files(folder: Path) -> list[Path]:
    """Return the files of one set of weights: the plain one if there is one, else a variant such as fp16."""
    names = sorted(file.name for file in folder.glob("*.safetensors"))
    for stem in ("diffusion_pytorch_model", "model"):
        for middle in ("", *(f".{variant}" for variant in VARIANTS)):
            if f"{stem}{middle}.safetensors" in names:
                return [folder / f"{stem}{middle}.safetensors"]
            index = folder / f"{stem}.safetensors.index{middle}.json"
            if index.is_file():
                return [folder / name for name in read_shards(index)]
    raise WeightsError(
        f"{folder} holds {', '.join(names)[:200]}; expected model.safetensors, whole or in shards"
    )


def _tokenizer(path: Path, part: str) -> CLIPTokenizer:
    try:
        tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(str(path / part), local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"cannot read the tokenizer in {path / part}: {error}; "
            "expected tokenizer.json, or vocab.json and merges.txt"
        ) from error
    return tokenizer
