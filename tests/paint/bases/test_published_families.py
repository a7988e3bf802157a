"""The published files of klein and Z-Image, as lists of names and shapes: every key finds its place.

The names are made by hand from diffusers' and transformers' classes at the published sizes; how many there are is
known from the files themselves (klein 4B has 149 tensors and 9B 201, Z-Image 453, Qwen3 4B 398).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, AutoencoderKLFlux2, Flux2Transformer2DModel, ZImageTransformer2DModel
from tests.tiny_split_families import as_ldm, bfl_tensors, ldm_name, llama_name, z_image_tensors
from torch import Tensor
from transformers import Qwen3Config, Qwen3Model

from allaprima.paint.bases.files.header import FileHeader, StoredTensor
from allaprima.paint.bases.files.shared_parts import find_qwen3
from allaprima.paint.bases.flux2_klein import files as klein_files
from allaprima.paint.bases.flux2_klein import names as klein_names
from allaprima.paint.bases.flux2_klein import split_files as klein
from allaprima.paint.bases.ldm_autoencoder import name_autoencoder_weights
from allaprima.paint.bases.part_reader import PartReader
from allaprima.paint.bases.qwen3_files import make_text_encoder, name_text_weights
from allaprima.paint.bases.recognition import recognise
from allaprima.paint.bases.z_image import files as z_image_files
from allaprima.paint.bases.z_image import names as z_image_names
from allaprima.paint.bases.z_image import split_files as z_image

META = torch.device("meta")
State = Mapping[str, Tensor]


def klein_transformer(layers: int = 5, single: int = 20, heads: int = 24, text: int = 7680) -> Any:
    return Flux2Transformer2DModel(
        num_layers=layers, num_single_layers=single, num_attention_heads=heads, joint_attention_dim=text,
        guidance_embeds=False,
    )  # fmt: skip


def flux_vae() -> Any:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=16, use_quant_conv=False,
        use_post_quant_conv=False,
    )  # fmt: skip


def qwen3(width: int = 2560, hidden: int = 9728) -> torch.nn.Module:
    return Qwen3Model(
        Qwen3Config(
            vocab_size=151_936, hidden_size=width, intermediate_size=hidden, num_hidden_layers=36,
            num_attention_heads=32, num_key_value_heads=8, head_dim=128,
        )
    )  # fmt: skip


NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "klein": klein_transformer,
    "klein 9B": partial(klein_transformer, 8, 24, 32, 12_288),
    "z-image": ZImageTransformer2DModel,
    "klein vae": AutoencoderKLFlux2,
    "flux vae": flux_vae,
    "text": qwen3,
    "text 8B": partial(qwen3, 4096, 12_288),
}


@cache
def state_of(network: str) -> State:
    """Return the tensors of a published network under the library's names, without numbers."""
    with init_empty_weights(include_buffers=True):
        made = NETWORKS[network]()
    state = {name: tensor.to(META) for name, tensor in made.state_dict().items()}
    return (
        {f"model.{name}": tensor for name, tensor in state.items()} if network.startswith("text") else state
    )


def ldm(state: State) -> State:
    return {ldm_name(name): as_ldm(name, tensor) for name, tensor in state.items()}


def llama(state: State) -> State:
    return {llama_name(name): tensor for name, tensor in state.items()}


def renamed_norms(state: State) -> State:
    """Return ComfyUI's later spelling of Black Forest Labs' norms."""
    return {
        name.replace("_norm.scale", "_norm.weight"): tensor for name, tensor in bfl_tensors(state).items()
    }


def header_of(state: State, dtype: str) -> FileHeader:
    is_gguf = dtype.startswith("Q")
    architecture = "qwen3" if "token_embd.weight" in state else "x"
    return FileHeader(
        path=Path("published.gguf" if is_gguf else "published.safetensors"),
        container="gguf" if is_gguf else "safetensors",
        tensors={name: entry(dtype, tuple(tensor.shape)) for name, tensor in state.items()},
        metadata={"general.architecture": architecture} if is_gguf else {},
        data_begin=0,
    )


def entry(dtype: str, shape: tuple[int, ...]) -> StoredTensor:
    if not dtype.startswith("Q"):
        return StoredTensor(dtype, shape, 0, 0)
    block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[dtype]]
    if len(shape) < 2 or shape[-1] % block:
        return StoredTensor("F32", shape, 0, 0)
    return StoredTensor(dtype, shape, 0, math.prod(shape) // block * block_bytes)


Maker = tuple[Callable[..., Any], Callable[..., dict[str, Any]], Callable[..., Any]]
KLEIN: Maker = (klein_files.find_transformer, klein_names.name_weights, klein.make_transformer)
Z_IMAGE: Maker = (z_image_files.find_transformer, z_image_names.name_weights, z_image.make_transformer)
KLEIN_VAE: Maker = (klein_files.find_vae, name_autoencoder_weights, klein.make_autoencoder)
FLUX_VAE: Maker = (z_image_files.find_vae, name_autoencoder_weights, z_image.make_autoencoder)
KLEIN_TEXT: Maker = (find_qwen3, partial(name_text_weights, layers=27), make_text_encoder)
Z_TEXT: Maker = (find_qwen3, partial(name_text_weights, layers=-1), make_text_encoder)

CASES: dict[str, tuple[str, Callable[[State], State], Maker, tuple[str, ...]]] = {
    "klein": ("klein", bfl_tensors, KLEIN, ("flux2-klein",)),
    "klein, other norms": ("klein", renamed_norms, KLEIN, ("flux2-klein",)),
    "klein, diffusers": ("klein", dict, KLEIN, ("flux2-klein",)),
    "klein 9B": ("klein 9B", bfl_tensors, KLEIN, ("flux2-klein",)),
    "z-image": ("z-image", z_image_tensors, Z_IMAGE, ("z-image",)),
    "z-image, diffusers": ("z-image", dict, Z_IMAGE, ("z-image",)),
    "klein vae": ("klein vae", ldm, KLEIN_VAE, ("flux2-klein",)),
    "klein vae, diffusers": ("klein vae", dict, KLEIN_VAE, ("flux2-klein",)),
    "flux vae": ("flux vae", ldm, FLUX_VAE, ("z-image",)),
    "flux vae, diffusers": ("flux vae", dict, FLUX_VAE, ("z-image",)),
    "text for klein": ("text", dict, KLEIN_TEXT, ("flux2-klein", "z-image")),
    "text for z-image": ("text", dict, Z_TEXT, ("flux2-klein", "z-image")),
    "text for 9B": ("text 8B", dict, KLEIN_TEXT, ("flux2-klein", "z-image")),
    "text, llama.cpp": ("text", llama, KLEIN_TEXT, ("flux2-klein", "z-image")),
}


def test_there_are_as_many_tensors_as_in_the_published_files() -> None:
    assert len(bfl_tensors(state_of("klein"))) == 149
    assert len(bfl_tensors(state_of("klein 9B"))) == 201
    assert len(z_image_tensors(state_of("z-image"))) == 453
    assert len(state_of("text")) == 398


def dtypes_of(case: str) -> tuple[str, ...]:
    """Return the number formats that such a file comes in."""
    if "vae" in case:
        return ("BF16",)
    if "text" in case:
        return ("Q8_0", "Q4_K") if "llama" in case else ("BF16", "F8_E4M3")
    return "BF16", "F8_E4M3", "Q8_0", "Q4_K"


@pytest.mark.parametrize(("case", "dtype"), [(case, dtype) for case in CASES for dtype in dtypes_of(case)])
def test_every_key_finds_its_place(case: str, dtype: str) -> None:
    network, rename, (find, names, make), families = CASES[case]
    prefix = "model.diffusion_model." if dtype == "F8_E4M3" and "text" not in case else ""
    state = {f"{prefix}{name}": tensor for name, tensor in rename(state_of(network)).items()}
    header = header_of(state, dtype)
    assert (recognise(header).families, find(header)) == (families, prefix)
    reader = PartReader(header=header, prefix=prefix, names=names)
    loaded = reader.load(reader.make(make), torch.bfloat16, META, absent=True)
    assert all(tensor.is_meta for tensor in loaded.state_dict().values())


def test_text_encoders_fit_the_transformers_that_read_them() -> None:
    small, large = (header_of(state_of(name), "BF16") for name in ("text", "text 8B"))
    klein_4b, klein_9b = (header_of(bfl_tensors(state_of(name)), "BF16") for name in ("klein", "klein 9B"))
    fits = next(part.fits for part in klein_files.PARTS if part.part == "text_encoder")
    assert [fits(klein_4b, small), fits(klein_4b, large)] == [True, False]
    assert [fits(klein_9b, small), fits(klein_9b, large)] == [False, True]
    fits = next(part.fits for part in z_image_files.PARTS if part.part == "text_encoder")
    z = header_of(z_image_tensors(state_of("z-image")), "BF16")
    assert [fits(z, small), fits(z, large)] == [True, False]


def test_shapes_tell_the_published_configurations() -> None:
    header = header_of(bfl_tensors(state_of("klein")), "BF16")
    made = PartReader(header=header, prefix="", names=KLEIN[1]).make(KLEIN[2])
    with init_empty_weights():
        published = klein_transformer()
    assert config_of(made) == {**config_of(published), "out_channels": 128}
    header = header_of(z_image_tensors(state_of("z-image")), "BF16")
    made = PartReader(header=header, prefix="", names=Z_IMAGE[1]).make(Z_IMAGE[2])
    with init_empty_weights():
        published = ZImageTransformer2DModel()
    assert config_of(made) == {**config_of(published), "axes_lens": [1536, 512, 512]}


def config_of(network: Any) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in network.config.items()
        if not name.startswith("_")
    }
