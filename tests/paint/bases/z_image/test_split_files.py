"""Pictures from files as people have them against stock diffusers' with the same dequantised weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.paint.bases.z_image.test_parity import stock_pictures
from tests.parity import assert_alike, our_pictures
from tests.tiny_files import Layout
from tests.tiny_qwen3 import chat_tokenizer
from tests.tiny_split_families import LAYOUTS, make_split_z_image, write_split_z_image

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.loading import locate
from allaprima.paint.bases.z_image.split_files import load_split_z_image
from allaprima.paint.bases.z_image.traits import TRAITS

CAT = GenerationRequest(
    prompt="a cat on a rooftop", base="z-image", width=48, height=32, steps=2, seed=7, guidance=1.0
)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_picture_is_that_of_diffusers_with_the_same_weights(layout: Layout, tmp_path: Path) -> None:
    stock = make_split_z_image()
    files = write_split_z_image(
        tmp_path, stock, layout, prefix="model.diffusion_model." if layout == "fp8" else ""
    )
    located = locate("z_image_turbo", [tmp_path])
    assert located.family == "z-image"
    assert located.parts == {"text_encoder": files["text_encoder"], "vae": files["vae"]}
    base = load_split_z_image(files, dtype=torch.float32, tokenizer=chat_tokenizer)
    assert (base.name, base.defaults) == (files["transformer"].stem, TRAITS.defaults)
    assert len(base.text.encoder.layers) == 2
    assert_alike(our_pictures(base, [CAT.prompt], CAT), stock_pictures(stock, [CAT.prompt], CAT))
    pixels = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    expected = (stock.vae.encode(pixels * 2 - 1).latent_dist.mode() - 0.1159) * 0.3611
    torch.testing.assert_close(base.encode(pixels), expected, atol=1e-5, rtol=1e-5)


def test_a_name_says_that_it_was_not_distilled(tmp_path: Path) -> None:
    files = write_split_z_image(tmp_path, make_split_z_image(), "bf16", name="z_image_bf16")
    base = load_split_z_image(
        files,
        absent=("text", "predict", "decode"),
        tokenizer=chat_tokenizer,
    )
    assert (base.defaults.steps, base.flow.shift) == (50, 6.0)
    assert all(parameter.is_meta for parameter in base.transformer.parameters())
