"""Painting what a mask says, against stock diffusers: by any SDXL, and by one of 9 channels that reads the mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLInpaintPipeline
from tests.inpainting import assert_inpainted_alike, finished_pixels, masked_picture, stock_inpaint
from tests.tiny_sdxl import Kind, give_scheduler, shapes_of, write_tiny_file, write_tiny_sdxl

from allaprima.core.events import Finished
from allaprima.core.init_image import InitImage
from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.loading import load_base, locate
from allaprima.paint.bases.sdxl.base import load_sdxl
from allaprima.paint.painter import Painter

# numpy asks torch for a copy in a way that diffusers' schedulers do not answer yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

REQUEST = GenerationRequest(
    prompt="a cat on a rooftop", negative_prompt="rain", base="tiny", width=64, height=96, steps=4, guidance=5.0,
    seed=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose UNet reads masks."""
    return write_tiny_sdxl(tmp_path_factory.mktemp("sdxl") / "inpainting", reads_mask=True)


def stock(folder: Path, init_image: InitImage, **changes: Any) -> torch.Tensor:
    pipeline: Any = StableDiffusionXLInpaintPipeline.from_pretrained(str(folder), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.watermark = None
    settings = {
        "prompt": REQUEST.prompt, "negative_prompt": REQUEST.negative_prompt, "guidance_scale": REQUEST.guidance,
        "num_inference_steps": REQUEST.steps, "generator": torch.Generator().manual_seed(REQUEST.seed),
    }  # fmt: skip
    return stock_inpaint(pipeline, init_image, **{**settings, **changes})


@pytest.mark.parametrize("reads_mask", [False, True])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_it_is_the_picture_of_diffusers(
    folder: Path, reader: Path, reads_mask: bool, strength: float
) -> None:
    checkpoint = reader if reads_mask else folder
    init_image = masked_picture(64, 96, strength, (16, 24, 56, 80))
    base = load_sdxl(checkpoint, name="tiny")
    assert base.reads_mask == reads_mask
    mine = finished_pixels(Painter(base=base), REQUEST, init_image)
    assert_inpainted_alike(mine, stock(checkpoint, init_image), init_image)


@pytest.mark.parametrize(("kind", "steps"), [("turbo", 1), ("turbo", 4), ("lcm", 4)])
def test_few_steps_without_guidance(copy: Path, kind: Kind, steps: int) -> None:
    give_scheduler(copy, kind)
    init_image = masked_picture(64, 96, 1.0, (0, 0, 64, 40))
    request = GenerationRequest.from_json({**REQUEST.to_json(), "steps": steps, "guidance": 1.0})
    mine = finished_pixels(Painter(base=load_sdxl(copy, name="tiny")), request, init_image)
    settings = {"guidance_scale": 1.0, "negative_prompt": None, "num_inference_steps": steps}
    assert_inpainted_alike(mine, stock(copy, init_image, **settings), init_image)


def test_the_single_file_paints_what_the_folder_paints(reader: Path, folder: Path, tmp_path: Path) -> None:
    file = write_tiny_file(tmp_path / "inpainting.safetensors", reader)
    init_image = masked_picture(64, 96, 1.0, (16, 24, 56, 80))
    single = load_sdxl(file, name="tiny", shapes=shapes_of(folder))
    mine = finished_pixels(Painter(base=single), REQUEST, init_image)
    assert torch.equal(
        mine, finished_pixels(Painter(base=load_sdxl(reader, name="tiny")), REQUEST, init_image)
    )


def test_a_folder_of_the_inpainting_pipeline_is_an_sdxl(reader: Path) -> None:
    assert locate(str(reader), ()).family == "sdxl"
    assert load_base(str(reader), device=torch.device("cpu")).reads_mask


def test_without_a_mask_a_reader_paints_freely(reader: Path) -> None:
    painter = Painter(base=load_sdxl(reader, name="tiny"))
    free = painter.paint(REQUEST)
    grey = InitImage(width=64, height=96, rgb=bytes([7]) * 3 * 64 * 96, strength=1.0, mask=b"\xff" * 64 * 96)
    *_, last = painter.events(REQUEST, init_image=grey)
    assert isinstance(last, Finished)
    assert free.rgb == last.pictures[0].rgb
