"""Pictures from files as people have them against stock diffusers' with the same dequantised weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.paint.bases.qwen_image.test_parity import TOLERANCE, our_picture, stock_picture
from tests.tiny_files import LAYOUTS, Layout, make_split_pipeline, write_split
from tests.tiny_qwen import byte_tokenizer

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.loading import locate
from allaprima.paint.bases.qwen_image.split_files import load_split_qwen_image

CAT = GenerationRequest(
    prompt="a cat on a rooftop", base="tiny", width=48, height=32, steps=2, seed=7, guidance=4.0
)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_picture_is_that_of_diffusers_with_the_same_weights(layout: Layout, tmp_path: Path) -> None:
    stock = make_split_pipeline()
    files = write_split(tmp_path, stock, layout, prefix="model.diffusion_model." if layout == "fp8" else "")
    located = locate(files["transformer"].stem, [tmp_path])
    assert located.family == "qwen-image"
    assert located.path == files["transformer"]
    assert located.parts == {part: files[part] for part in ("text_encoder", "vae")}
    base = load_split_qwen_image(
        {**located.parts, "transformer": located.path}, dtype=torch.float32, tokenizer=byte_tokenizer
    )
    expected = stock_picture(stock, CAT)
    assert expected.std() > 0.01
    # Where the processor multiplies int8, inputs are rounded to eight bits too.
    tolerance = 0.05 if layout == "int8" else TOLERANCE
    torch.testing.assert_close(our_picture(base, CAT), expected, atol=tolerance, rtol=0)
