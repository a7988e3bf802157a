"""Our pictures against stock diffusers', from the same weights and the same noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from tests.tiny_sdxl import Kind, give_scheduler, shapes_of, write_tiny_sdxl

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.sdxl.base import SdxlBase, load_sdxl
from allaprima.paint.painter import Painter
from allaprima.paint.sampling.guidance import guided, needs_negative
from allaprima.paint.sampling.samplers import sample_steps

# numpy asks torch for a copy in a way that diffusers' schedulers do not answer yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


PROMPT, NEGATIVE = "a cat on a rooftop", "rain"


@torch.inference_mode()
def ours(
    base: SdxlBase,
    *,
    steps: int,
    guidance: float = 1.0,
    negative: str = "",
    seeds: Sequence[int] = (3,),
    size: tuple[int, int] = (64, 64),
) -> torch.Tensor:
    """Return our pixels (B, 3, H, W) before rounding."""
    against = [negative] * len(seeds) if needs_negative(base, guidance) else []
    text = base.encode_text([PROMPT] * len(seeds) + against)
    latents = base.noise(seeds, *size)
    schedule = base.schedule(steps, *size)
    for step in sample_steps(guided(base, text, guidance), latents, schedule, base.prediction, seeds):
        latents = step.latents
    return base.decode(latents)


def theirs(
    folder: Path,
    *,
    steps: int,
    guidance: float = 1.0,
    negative: str | None = None,
    seeds: Sequence[int] = (3,),
    size: tuple[int, int] = (64, 64),
) -> torch.Tensor:
    """Return stock pixels (B, 3, H, W) before rounding."""
    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(str(folder), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.watermark = None
    pixels: torch.Tensor = pipeline(
        [PROMPT] * len(seeds),
        negative_prompt=None if negative is None else [negative] * len(seeds),
        width=size[0],
        height=size[1],
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="pt",
    ).images
    return pixels


def assert_equal(mine: torch.Tensor, stock: torch.Tensor) -> None:
    assert mine.shape == stock.shape
    assert stock.std() > 0.01  # the pictures are not flat, so equality says something
    assert (mine - stock).abs().max() < 1e-5


def test_base_with_guidance_and_an_empty_negative_prompt(folder: Path) -> None:
    settings: dict[str, Any] = {"steps": 4, "guidance": 5.0, "size": (64, 96)}
    assert_equal(ours(load_sdxl(folder), **settings), theirs(folder, **settings))


def test_base_with_a_negative_prompt_and_two_pictures_in_a_pass(folder: Path) -> None:
    settings: dict[str, Any] = {"steps": 3, "guidance": 7.5, "negative": NEGATIVE, "seeds": (1, 2)}
    assert_equal(ours(load_sdxl(folder), **settings), theirs(folder, **settings))


@pytest.mark.parametrize(
    ("kind", "steps", "scheduler"),
    [
        ("turbo", 1, {}),
        ("turbo", 4, {}),
        ("lcm", 4, {}),
        ("base", 3, {"prediction_type": "v_prediction"}),
        ("base", 4, {"use_karras_sigmas": True}),
    ],
)
def test_other_schedulers(copy: Path, kind: Kind, steps: int, scheduler: dict[str, Any]) -> None:
    give_scheduler(copy, kind, **scheduler)
    assert_equal(ours(load_sdxl(copy), steps=steps), theirs(copy, steps=steps))


def test_levels_that_begin_at_pure_noise(copy: Path) -> None:
    settings = {
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
    }
    give_scheduler(copy, "base", **settings)
    base = load_sdxl(copy)
    assert base.schedule(3, 64, 64).sigmas[0] == pytest.approx(4096, rel=1e-3)
    # Stock adds differences of latents in the thousands, of which float32 keeps three digits after the point.
    assert (ours(base, steps=3) - theirs(copy, steps=3)).abs().max() < 1e-3


def test_a_unet_that_is_told_the_guidance(tmp_path: Path) -> None:
    folder = write_tiny_sdxl(tmp_path, "lcm", embedded_guidance=True)
    base = load_sdxl(folder)
    assert base.guidance_rule == "embedded"
    assert_equal(ours(base, steps=2, guidance=8.0), theirs(folder, steps=2, guidance=8.0))
    assert not torch.equal(ours(base, steps=1, guidance=8.0), ours(base, steps=1, guidance=1.0))


def test_the_single_file_paints_what_the_folder_paints(folder: Path, file: Path) -> None:
    settings: dict[str, Any] = {"steps": 2, "guidance": 5.0, "negative": NEGATIVE}
    from_file = load_sdxl(file, shapes=shapes_of(folder))
    assert torch.equal(ours(from_file, **settings), ours(load_sdxl(folder), **settings))


def test_weights_in_half_precision_and_a_variant_name_are_read(folder: Path, tmp_path: Path) -> None:
    half = write_tiny_sdxl(tmp_path / "half", dtype=torch.float16, variant="fp16")
    assert not (half / "unet" / "diffusion_pytorch_model.safetensors").exists()
    base = load_sdxl(half, dtype=torch.float32)
    assert base.dtype == torch.float32
    # The same weights but for rounding.
    assert (ours(base, steps=1) - ours(load_sdxl(folder), steps=1)).abs().max() < 0.05


def test_the_painter_paints_a_request(copy: Path) -> None:
    give_scheduler(copy, "turbo")
    base = load_sdxl(copy, name="tiny")
    request = GenerationRequest(
        prompt=PROMPT, base="tiny", width=64, height=64, steps=2, guidance=1.0, seed=3
    )
    picture = Painter(base=base).paint(request)
    wanted = ours(base, steps=2).mul(255).round().to(torch.uint8)[0].permute(1, 2, 0).contiguous()
    assert picture.rgb == wanted.numpy().tobytes()
    pair = Painter(base=base, pictures_per_pass=2).paint_batch([request, request])
    assert pair[0].rgb == pair[1].rgb
