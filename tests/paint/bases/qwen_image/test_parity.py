"""Our pictures against stock diffusers' from the same noise, before rounding: at most 1e-5 apart."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, QwenImagePipeline
from tests.tiny_qwen import LIGHTNING, PUBLISHED

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.qwen_image.base import QwenImageBase
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.pictures import to_pictures
from allaprima.paint.sampling.guidance import guided
from allaprima.paint.sampling.samplers import sample_steps

TOLERANCE = 1e-5


def stock_picture(
    stock: QwenImagePipeline, request: GenerationRequest, scheduler: dict[str, Any] = PUBLISHED
) -> torch.Tensor:
    stock.scheduler = FlowMatchEulerDiscreteScheduler(**scheduler)
    pixels: torch.Tensor = stock(
        prompt=request.prompt,
        negative_prompt=(request.negative_prompt or " ") if request.guidance != 1.0 else None,
        true_cfg_scale=request.guidance,
        width=request.width,
        height=request.height,
        num_inference_steps=request.steps,
        generator=torch.Generator().manual_seed(request.seed),
        output_type="pt",
    ).images
    return pixels


@torch.inference_mode()
def our_picture(base: QwenImageBase, request: GenerationRequest) -> torch.Tensor:
    against = [] if request.guidance == 1.0 else [request.negative_prompt]
    model = guided(base, base.encode_text([request.prompt, *against]), request.guidance)
    latents = base.noise([request.seed], request.width, request.height)
    schedule = base.schedule(request.steps, request.width, request.height, request.schedule)
    for step in sample_steps(model, latents, schedule, base.prediction, [request.seed]):
        latents = step.latents
    return base.decode(latents)


CAT = GenerationRequest(prompt="a cat on a rooftop", base="tiny", width=64, height=48, steps=5, seed=7)


@pytest.mark.parametrize(
    "changes",
    [
        {"guidance": 4.0},
        {"guidance": 7.5, "negative_prompt": "雨, blurry"},
        {"guidance": 1.0},
        {"guidance": 1.0, "steps": 2, "width": 32, "height": 96},
        {"guidance": 4.0, "prompt": "一只戴眼镜的猫" * 40, "steps": 2},
    ],
    ids=["guidance", "negative prompt", "no guidance", "upright", "more than 512 tokens"],
)
def test_the_picture_is_that_of_diffusers(
    base: QwenImageBase, stock: QwenImagePipeline, changes: dict[str, Any]
) -> None:
    request = GenerationRequest.from_json({**CAT.to_json(), **changes})
    expected = stock_picture(stock, request)
    assert expected.std() > 0.01
    torch.testing.assert_close(our_picture(base, request), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("steps", [4, 8])
def test_the_lightning_schedule_is_that_of_diffusers(
    base: QwenImageBase, stock: QwenImagePipeline, steps: int
) -> None:
    request = GenerationRequest(
        prompt="a cat", base="tiny", width=64, height=64, steps=steps, guidance=1.0, schedule="lightning"
    )
    expected = stock_picture(stock, request, LIGHTNING)
    torch.testing.assert_close(our_picture(base, request), expected, atol=TOLERANCE, rtol=0)
    assert (our_picture(base, CAT)[..., :48, :48] - expected[..., :48, :48]).abs().max() > TOLERANCE


def test_the_painter_paints_that_picture(base: QwenImageBase) -> None:
    request = GenerationRequest.from_json({**CAT.to_json(), "base": base.name})
    assert Painter(base=base).paint(request) == to_pictures(our_picture(base, request), [request])[0]
