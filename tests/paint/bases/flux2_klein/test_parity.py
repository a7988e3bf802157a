"""Our pictures against stock diffusers' from the same noise, before rounding: at most 1e-5 apart."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import Flux2KleinPipeline
from tests.parity import assert_alike, our_pictures

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.flux2_klein.base import Flux2KleinBase
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.pictures import to_pictures

CAT = GenerationRequest(
    prompt="a cat on a rooftop", base="klein", width=64, height=48, steps=4, seed=7, guidance=1.0
)
PROMPTS = ["a cat on a rooftop", "雨", "a very long prompt about a lighthouse and the sea " * 3]


def stock_pictures(stock: Flux2KleinPipeline, prompts: list[str], request: GenerationRequest) -> torch.Tensor:
    against, _ = stock.encode_prompt([request.negative_prompt] * len(prompts))
    pixels: torch.Tensor = stock(
        prompt=prompts,
        negative_prompt_embeds=against,
        guidance_scale=request.guidance,
        width=request.width,
        height=request.height,
        num_inference_steps=request.steps,
        generator=[torch.Generator().manual_seed(request.seed + row) for row in range(len(prompts))],
        output_type="pt",
    ).images
    return pixels


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"steps": 1},
        {"steps": 2, "width": 32, "height": 96},
        {"guidance": 4.0},
        {"guidance": 3.0, "negative_prompt": "雨, blurry", "steps": 1},
        {"prompt": "一只戴眼镜的猫" * 40, "steps": 2},
    ],
    ids=["four steps", "one step", "upright", "guidance", "negative prompt", "more than 512 tokens"],
)
def test_the_picture_is_that_of_diffusers(
    base: Flux2KleinBase, stock: Flux2KleinPipeline, changes: dict[str, Any]
) -> None:
    request = GenerationRequest.from_json({**CAT.to_json(), **changes})
    assert_alike(
        our_pictures(base, [request.prompt], request), stock_pictures(stock, [request.prompt], request)
    )


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_prompts_of_unequal_length_share_a_pass(
    base: Flux2KleinBase, stock: Flux2KleinPipeline, guidance: float
) -> None:
    request = GenerationRequest.from_json({**CAT.to_json(), "guidance": guidance, "steps": 2})
    assert_alike(our_pictures(base, PROMPTS, request), stock_pictures(stock, PROMPTS, request))


def test_the_painter_paints_that_picture(base: Flux2KleinBase) -> None:
    request = GenerationRequest.from_json({**CAT.to_json(), "base": base.name})
    expected = to_pictures(our_pictures(base, [CAT.prompt], request), [request])[0]
    assert Painter(base=base).paint(request) == expected
