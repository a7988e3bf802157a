"""Painting what a mask says with Z-Image, against stock diffusers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import ZImageInpaintPipeline, ZImagePipeline
from tests.inpainting import assert_inpainted_alike, finished_pixels, masked_picture, stock_inpaint

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.z_image.base import ZImageBase
from allaprima.paint.painter import Painter


@pytest.mark.parametrize(("strength", "guidance"), [(1.0, 4.0), (0.5, 4.0), (1.0, 1.0)])
def test_it_is_the_picture_of_diffusers(
    base: ZImageBase, stock: ZImagePipeline, strength: float, guidance: float
) -> None:
    request = GenerationRequest(
        prompt="a cat on a rooftop", base=base.name, width=64, height=48, steps=4, guidance=guidance, seed=7
    )
    init_image = masked_picture(64, 48, strength, (8, 16, 56, 40))
    pipeline: Any = ZImageInpaintPipeline(**stock.components)
    pipeline.set_progress_bar_config(disable=True)
    theirs = stock_inpaint(
        pipeline, init_image, prompt=request.prompt, guidance_scale=guidance - 1.0,
        num_inference_steps=request.steps, generator=torch.Generator().manual_seed(7),
    )  # fmt: skip
    assert_inpainted_alike(finished_pixels(Painter(base=base), request, init_image), theirs, init_image)
