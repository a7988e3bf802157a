"""The published files, as lists of names and shapes: every key finds its place, on the meta device.

The names are made by the public rules from diffusers' and transformers' classes at the published sizes; how many
there are is known from the files themselves (a GGUF of the transformer has 1,933 tensors, the text encoder 729, of
which 358 have a scale, llama.cpp's twin of it 339, the autoencoder 194).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
from tests.tiny_files import legacy_name, llama_name, wan_name
from tests.tiny_qwen import PUBLISHED
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.header import FileHeader, StoredTensor
from allaprima.paint.bases.files.parts import PartName
from allaprima.paint.bases.part_reader import Names, PartReader
from allaprima.paint.bases.qwen_image import split_files
from allaprima.paint.bases.qwen_image.files import PARTS, name_text_weights, name_vae_weights
from allaprima.paint.bases.qwen_image.published import (
    FLOW,
    autoencoder_config,
    text_config,
    transformer_config,
)
from allaprima.paint.bases.recognition import recognise

META = torch.device("meta")
PartShapes = dict[str, tuple[int, ...]]


@cache
def published(part: PartName) -> PartShapes:
    """Return names and shapes of the whole published network."""
    with init_empty_weights():
        if part == "transformer":
            network: torch.nn.Module = QwenImageTransformer2DModel()
        elif part == "vae":
            network = AutoencoderKLQwenImage()
        else:
            network = Qwen2_5_VLForConditionalGeneration(
                Qwen2_5_VLConfig(
                    text_config={
                        "vocab_size": 152_064, "hidden_size": 3584, "intermediate_size": 18_944,
                        "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
                    },
                    vision_config={
                        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
                        "out_hidden_size": 3584,
                    },
                )
            )  # fmt: skip
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def header_of(shapes: PartShapes, dtype: str = "BF16", scales: Mapping[str, str] | None = None) -> FileHeader:
    """Return the header of a file with such tensors; those in `scales` are in fp8, with a scale so spelled."""
    tensors = {name: entry(dtype, shape) for name, shape in shapes.items()}
    for name, spelling in (scales or {}).items():
        tensors[name] = entry("F8_E4M3", shapes[name])
        tensors[name.removesuffix(".weight") + spelling] = entry("F32", (1,))
    is_gguf = dtype.startswith("Q")
    architecture = "qwen2vl" if "token_embd.weight" in shapes else "qwen_image"
    return FileHeader(
        path=Path("published.gguf" if is_gguf else "published.safetensors"),
        container="gguf" if is_gguf else "safetensors",
        tensors=tensors,
        metadata={"general.architecture": architecture} if is_gguf else {},
        data_begin=0,
    )


def entry(dtype: str, shape: tuple[int, ...]) -> StoredTensor:
    """Return a tensor's entry; what fills no blocks of a GGUF's format stays in fp32 there."""
    if not dtype.startswith("Q"):
        return StoredTensor(dtype, shape, 0, 0)
    block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[dtype]]
    if len(shape) < 2 or shape[-1] % block:
        return StoredTensor("F32", shape, 0, 0)
    return StoredTensor(dtype, shape, 0, math.prod(shape) // block * block_bytes)


def loaded_on_meta(part: PartName, header: FileHeader) -> torch.nn.Module:
    """Return the network that the header's list makes; WeightsError if a key is missing or left over."""
    made: dict[PartName, tuple[Names, Callable[[Any], Any]]] = {
        "transformer": (dict, split_files._make_transformer),
        "text_encoder": (name_text_weights, split_files._make_text_encoder),
        "vae": (name_vae_weights, split_files._make_autoencoder),
    }
    names, make = made[part]
    prefix = next(one for one in PARTS if one.part == part).find_prefix(header)
    assert prefix is not None
    reader = PartReader(header=header, prefix=prefix, names=names)
    network: torch.nn.Module = reader.load(reader.make(make), torch.bfloat16, META, absent=True)
    return network


def scaled_layers(shapes: PartShapes) -> list[str]:
    """Return the linear layers of the text encoder, which its scaled form has in fp8: not the head, nor the words."""
    return [
        name
        for name, shape in shapes.items()
        if len(shape) == 2
        and name.endswith(".weight")
        and "embed_tokens" not in name
        and "lm_head" not in name
    ]


def test_there_are_as_many_tensors_as_in_the_published_files() -> None:
    text = published("text_encoder")
    assert len(published("transformer")) == 1933
    assert len(published("vae")) == 194
    assert len(text) == 729
    assert len(scaled_layers(text)) == 358
    assert len([name for name in text if llama_name(name)]) == 339


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "Q4_K", "Q8_0"])
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_the_transformer_maps_with_no_key_left_over(dtype: str, prefix: str) -> None:
    header = header_of({f"{prefix}{name}": shape for name, shape in published("transformer").items()}, dtype)
    assert (recognise(header).part, recognise(header).families) == ("transformer", ("qwen-image",))
    network = loaded_on_meta("transformer", header)
    assert {name.rpartition(".")[0] for name in network.state_dict()} >= {
        name.rpartition(".")[0] for name in published("transformer")
    }


@pytest.mark.parametrize(
    ("rename", "dtype"),
    [
        (legacy_name, "BF16"),
        (str, "BF16"),
        (legacy_name, "scaled"),
        (llama_name, "Q4_K"),
        (llama_name, "Q8_0"),
    ],
)
def test_the_text_encoder_maps_with_no_key_left_over(rename: Callable[[str], str], dtype: str) -> None:
    shapes = {rename(name): shape for name, shape in published("text_encoder").items() if rename(name)}
    scales = dict.fromkeys(scaled_layers(shapes), ".scale_weight") if dtype == "scaled" else None
    header = header_of(shapes, "BF16" if dtype == "scaled" else dtype, scales)
    assert (recognise(header).part, recognise(header).families) == ("text_encoder", ("qwen-image",))
    loaded_on_meta("text_encoder", header)


@pytest.mark.parametrize("rename", [wan_name, str])
@pytest.mark.parametrize("prefix", ["", "vae.", "first_stage_model."])
def test_the_autoencoder_maps_with_no_key_left_over(rename: Callable[[str], str], prefix: str) -> None:
    header = header_of({f"{prefix}{rename(name)}": shape for name, shape in published("vae").items()})
    assert (recognise(header).part, recognise(header).families) == ("vae", ("qwen-image",))
    loaded_on_meta("vae", header)


def test_shapes_tell_the_published_configurations() -> None:
    def entries(part: PartName) -> dict[str, StoredTensor]:
        return {name: entry("BF16", shape) for name, shape in published(part).items()}

    stock = inspect.signature(QwenImageTransformer2DModel.__init__).parameters
    told = transformer_config(entries("transformer"))
    assert told == {name: stock[name].default for name in told}
    assert autoencoder_config(entries("vae")) == {"base_dim": 96, "z_dim": 16, "input_channels": 3}
    text = text_config(entries("text_encoder"))["text_config"]
    assert (text["num_attention_heads"], text["num_key_value_heads"], text["num_hidden_layers"]) == (
        28,
        4,
        28,
    )
    known = [field.name for field in fields(FLOW)]
    assert {name: getattr(FLOW, name) for name in known} == {name: PUBLISHED[name] for name in known}


def test_a_pruned_transformer_is_read_with_the_layers_it_has() -> None:
    whole = published("transformer")
    last = tuple(f"transformer_blocks.{layer}." for layer in range(40, 60))
    network = loaded_on_meta(
        "transformer", header_of({name: shape for name, shape in whole.items() if not name.startswith(last)})
    )
    assert len(network.transformer_blocks) == 40  # type: ignore[arg-type]  # nn.Module's attributes are of any type
    holed = {name: shape for name, shape in whole.items() if not name.startswith("transformer_blocks.7.")}
    with pytest.raises(WeightsError, match=r"published\.safetensors: the file lacks transformer_blocks\.7"):
        loaded_on_meta("transformer", header_of(holed))


def test_other_shapes_are_refused() -> None:
    words, first = "model.language_model.embed_tokens.weight", "transformer_blocks.0.attn.norm_q.weight"
    text, transformer = published("text_encoder"), published("transformer")
    with pytest.raises(WeightsError, match="the text encoder is 100 wide; expected whole heads of 128"):
        loaded_on_meta("text_encoder", header_of({**text, words: (152_064, 100)}))
    with pytest.raises(WeightsError, match="heads of 7 in a width of 3072; expected whole heads"):
        loaded_on_meta("transformer", header_of({**transformer, first: (7,)}))
    without = {name: shape for name, shape in transformer.items() if name != "img_in.weight"}
    with pytest.raises(WeightsError, match=r"img_in\.weight is not there; expected 2 sides"):
        loaded_on_meta("transformer", header_of(without))
