"""What ships: its size, its metadata, and that it paints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from safetensors import safe_open

from allaprima import GenerationRequest, Painter, Retoucher, Upscale
from allaprima.core.request import LoraUse
from allaprima.lab.evaluation.upscaling import gradient, psnr
from allaprima.paint.bases.vignette.base import weights_folder
from allaprima.paint.lora.files.folder import SHIPPED, LoraFolder

LIMIT = 95 * 2**20
FILES = sorted(weights_folder().parent.rglob("*.safetensors"))
LORAS = LoraFolder(weights_folder() / SHIPPED)


def test_the_weights_fit_into_the_package() -> None:
    assert {path.name for path in FILES} >= {
        "autoencoder.safetensors",
        "denoiser.safetensors",
        "text.safetensors",
    }
    assert sum(path.stat().st_size for path in FILES) <= LIMIT


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.parent != LORAS.path], ids=lambda path: path.stem
)
def test_a_file_says_what_it_is_and_under_which_licence(path: object) -> None:
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata()
    assert metadata["config"].startswith("{")
    assert metadata.get("license") or metadata.get("licence")  # the first text encoder spells it so


def test_a_lora_says_for_what_it_was_trained_and_under_which_licence(tmp_path: Path) -> None:
    painter = Painter.load(lora_dir=tmp_path)
    assert painter.lora_manager is not None
    for name in LORAS.names():
        (told,) = painter.lora_manager.metadata([LoraUse(name=name)])
        assert (told.family, told.license is None) == ("vignette", False)
        assert told.steps == len(told.sigmas) - 1
        assert told.guidance is not None
    assert [use.name for use in painter.request(prompt="a cat").loras] == ["turbo"] * (
        "turbo" in LORAS.names()
    )


def test_it_paints_and_repeats_itself() -> None:
    painter = Painter.load()
    request = GenerationRequest(prompt="a cat on a rooftop at sunset", steps=3, seed=7)
    first, second = painter.paint(request), painter.paint(request)
    assert first.rgb == second.rgb
    assert np.frombuffer(first.rgb, np.uint8).std() > 10


def test_words_matter() -> None:
    painter = Painter.load()
    night, day = (
        np.frombuffer(
            painter.paint(GenerationRequest(prompt=f"a castle in the city, {hour}", steps=6)).rgb, np.uint8
        )
        for hour in ("night", "day")
    )
    assert night.mean() < day.mean()


def test_the_upscaler_draws_edges_again() -> None:
    large = Image.new("RGB", (1024, 1024), "#f4d8a0")
    drawing = ImageDraw.Draw(large)
    drawing.ellipse((200, 160, 800, 860), fill="#d04830", outline="#202020", width=24)
    drawing.polygon([(100, 900), (512, 300), (960, 940)], fill="#3070b0")
    sharp = large.resize((256, 256), Image.Resampling.BOX)
    halved = sharp.resize((128, 128), Image.Resampling.BICUBIC)
    plain = halved.resize((256, 256), Image.Resampling.BICUBIC)
    enlarged = Retoucher()(halved, Upscale(scale=2)).image
    assert psnr(enlarged, sharp) > psnr(plain, sharp) + 4


def test_the_upscaler_keeps_smooth_what_is_smooth() -> None:
    enlarged = Retoucher()(Image.fromarray(gradient(128)), Upscale(scale=2)).image
    steps = np.diff(np.asarray(enlarged, np.int16)[20:-20, 20:-20, 0], axis=1)
    assert steps.min() >= -1
    assert steps.max() <= 3
