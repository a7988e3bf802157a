"""Pictures from files as people have them against stock diffusers' with the same dequantised weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.paint.bases.flux2_klein.test_parity import stock_pictures
from tests.parity import assert_alike, our_pictures
from tests.tiny_files import Layout
from tests.tiny_qwen3 import chat_tokenizer
from tests.tiny_split_families import LAYOUTS, make_split_klein, write_split_klein

from allaprima.core.errors import WeightsError
from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.flux2_klein.split_files import load_split_flux2_klein
from allaprima.paint.bases.flux2_klein.traits import TRAITS, UNDISTILLED
from allaprima.paint.bases.loading import locate

CAT = GenerationRequest(
    prompt="a cat on a rooftop", base="klein", width=48, height=32, steps=2, seed=7, guidance=1.0
)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_picture_is_that_of_diffusers_with_the_same_weights(layout: Layout, tmp_path: Path) -> None:
    stock = make_split_klein()
    files = write_split_klein(
        tmp_path, stock, layout, prefix="model.diffusion_model." if layout == "fp8" else ""
    )
    located = locate("klein", [tmp_path])
    assert located.family == "flux2-klein"
    assert located.parts == {"text_encoder": files["text_encoder"], "vae": files["vae"]}
    base = load_split_flux2_klein(files, dtype=torch.float32, tokenizer=chat_tokenizer)
    assert (base.name, base.defaults) == (files["transformer"].stem, TRAITS.defaults)
    assert len(base.text.encoder.layers) == 27
    assert_alike(our_pictures(base, [CAT.prompt], CAT), stock_pictures(stock, [CAT.prompt], CAT))
    pixels = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    expected = stock._encode_vae_image(pixels * 2 - 1, torch.Generator())
    torch.testing.assert_close(base.encode(pixels), expected, atol=1e-5, rtol=1e-5)


def test_a_name_says_that_it_was_not_distilled(tmp_path: Path) -> None:
    files = write_split_klein(tmp_path, make_split_klein(), "bf16", name="flux-2-klein-base-4b")
    base = load_split_flux2_klein(
        files,
        absent=("text", "predict", "decode"),
        tokenizer=chat_tokenizer,
    )
    assert base.defaults == UNDISTILLED
    assert all(parameter.is_meta for parameter in base.transformer.parameters())


def test_fused_rows_that_cannot_be_shared_are_told(tmp_path: Path) -> None:
    files = write_split_klein(tmp_path, make_split_klein(), "bf16")
    tensors = load_file(files["transformer"])
    tensors["double_blocks.0.img_attn.qkv.weight"] = torch.ones(767, 256)
    save_file(tensors, files["transformer"])
    with pytest.raises(WeightsError, match="got a fused weight of shape"):
        load_split_flux2_klein(files, tokenizer=chat_tokenizer)


def test_a_transformer_that_is_told_the_guidance_is_named(tmp_path: Path) -> None:
    files = write_split_klein(tmp_path, make_split_klein(), "bf16")
    tensors = load_file(files["transformer"])
    tensors["guidance_in.in_layer.weight"] = torch.ones(256, 256)
    save_file(tensors, files["transformer"])
    with pytest.raises(WeightsError, match=r"is FLUX.2's transformer"):
        locate("klein", [tmp_path])
