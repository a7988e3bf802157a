"""Pictures to look at, against stock diffusers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import Flux2KleinInpaintPipeline, Flux2KleinPipeline
from PIL import Image
from tests.inpainting import assert_inpainted_alike, finished_pixels, masked_picture, stock_inpaint
from tests.parity import assert_alike, our_pictures

from allaprima.core.errors import RequestError
from allaprima.core.picture_files import import_request
from allaprima.core.reference import Reference
from allaprima.core.request import GenerationRequest
from allaprima.core.retouch import Repaint
from allaprima.paint.bases.flux2_klein.base import Flux2KleinBase
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.image_cache import ImageCache
from allaprima.paint.pipeline.reference_latents import encode_references
from allaprima.paint.retouch.retoucher import Retoucher
from allaprima.paint.retouch.work import Workshop

CAT = GenerationRequest(
    prompt="a cat on a rooftop", base="klein", width=64, height=48, steps=2, seed=7, guidance=1.0
)


def picture(width: int, height: int, seed: int) -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("sizes", [[(64, 64)], [(100, 75), (64, 200)]], ids=["one", "two of odd sizes"])
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_the_picture_is_that_of_diffusers(
    base: Flux2KleinBase, stock: Flux2KleinPipeline, sizes: list[tuple[int, int]], guidance: float
) -> None:
    images = [picture(*size, seed=number) for number, size in enumerate(sizes)]
    request = GenerationRequest.from_json({**CAT.to_json(), "guidance": guidance})
    theirs = stock(
        image=images, prompt=request.prompt, guidance_scale=guidance, width=64, height=48, num_inference_steps=2,
        generator=torch.Generator().manual_seed(7), output_type="pt",
    ).images  # fmt: skip
    latents = encode_references(base, list(map(Reference.from_image, images)), ImageCache())
    assert_alike(our_pictures(base, [request.prompt], request, latents), theirs)
    assert (our_pictures(base, [request.prompt], request) - theirs).abs().max() > 1e-3


def test_a_large_reference_is_looked_at_as_diffusers_does(stock: Flux2KleinPipeline) -> None:
    large = picture(1600, 1200, seed=3)
    seen = Reference.from_image(large).pixels
    assert seen is not None
    expected = stock.image_processor._resize_to_target_area(large, 1024 * 1024)
    assert (seen.width, seen.height, seen.rgb) == (*expected.size, expected.tobytes())


def test_a_part_is_painted_as_diffusers_does_when_the_picture_is_looked_at(
    base: Flux2KleinBase, stock: Flux2KleinPipeline
) -> None:
    init_image = masked_picture(64, 64, 1.0, (16, 16, 48, 48))
    own = Reference.from_image(Image.frombytes("RGB", (64, 64), init_image.rgb))
    request = GenerationRequest(
        prompt=CAT.prompt,
        base=base.name,
        width=64,
        height=64,
        steps=4,
        guidance=1.0,
        seed=7,
        references=(own,),
    )
    pipeline: Any = Flux2KleinInpaintPipeline(**stock.components)
    pipeline.set_progress_bar_config(disable=True)
    theirs = stock_inpaint(
        pipeline, init_image, prompt=request.prompt, guidance_scale=1.0, num_inference_steps=4,
        generator=torch.Generator().manual_seed(7),
    )  # fmt: skip
    assert_inpainted_alike(finished_pixels(Painter(base=base), request, init_image), theirs, init_image)


def test_a_picture_names_what_was_looked_at_without_holding_it(base: Flux2KleinBase, tmp_path: Path) -> None:
    painter, file = Painter(base=base), tmp_path / "secret-name.png"
    image = picture(64, 64, seed=5)
    image.save(file)
    painted = painter("a cat", seed=1, width=64, height=64, steps=1, references=[file])
    assert painted.request.references == (Reference.from_image(image),)
    assert painter.paint(painted.request).rgb == painted.rgb
    saved = painted.save(tmp_path / "cat.png")
    assert b"secret-name" not in saved.read_bytes()
    again = import_request(saved).request
    assert again == painted.request
    with pytest.raises(RequestError, match="expected it again, as --reference FILE"):
        painter.paint(again)
    whole = GenerationRequest(**vars(again) | {"references": (Reference.from_image(image),)})
    assert painter.paint(whole).rgb == painted.rgb
    assert painter("a cat", seed=1, width=64, height=64, steps=1).rgb != painted.rgb


def test_a_picture_is_painted_over_looking_at_the_same(base: Flux2KleinBase) -> None:
    painter = Painter(base=base)
    painted = painter("a cat", seed=1, width=64, height=64, steps=1, references=[picture(64, 64, seed=5)])
    retoucher = Retoucher(Workshop(painter=painter))
    again = retoucher(painted, Repaint(strength=1.0))
    alone = replace(painted, request=replace(painted.request, references=()))
    assert again.image.tobytes() == painted.rgb
    assert retoucher(alone, Repaint(strength=1.0)).image.tobytes() != painted.rgb
