from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tiny_upscaler import write_upscaler

from allaprima.core.errors import PaintError
from allaprima.core.retouch import Upscale
from allaprima.lab.evaluation import upscaling
from allaprima.lab.evaluation.upscaling import (
    UpscalingSettings,
    gain_over_bicubic,
    gradient,
    measure_upscaling,
    peak_gib,
    psnr,
    seam_of,
)
from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.paint.retouch.retoucher import Retoucher
from allaprima.paint.retouch.work import Workshop


@pytest.fixture
def tiny(tmp_path: Path) -> Upscale:
    return Upscale(scale=2, upscaler=str(write_upscaler(tmp_path / "tiny.safetensors")))


@pytest.fixture
def retoucher() -> Retoucher:
    return Retoucher(Workshop(device=torch.device("cpu")))


def test_psnr_is_what_paper_says() -> None:
    black, grey = Image.new("RGB", (4, 4)), Image.new("RGB", (4, 4), (51, 51, 51))
    assert psnr(grey, black) == pytest.approx(20 * np.log10(5))
    assert psnr(black, black) == 99.0


def test_an_upscaler_that_knows_nothing_loses_to_bicubic(retoucher: Retoucher, tiny: Upscale) -> None:
    assert gain_over_bicubic(retoucher, gradient(64), tiny) < 0


def test_a_gradient_has_no_seams_with_the_right_reach(retoucher: Retoucher, tiny: Upscale) -> None:
    assert seam_of(retoucher, tiny, side=160, tile=64) < 0.01


def test_the_process_apart_tells_its_memory_or_its_failure(tiny: Upscale) -> None:
    assert 0.05 < peak_gib(tiny, side=64) < 4.0
    with pytest.raises(PaintError, match="expected vignette"):
        peak_gib(Upscale(upscaler="absent"), side=64)


def test_all_figures_come_with_what_must_be_reached(
    retoucher: Retoucher, tiny: Upscale, sprites: SpriteCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pictures(count: int, sprites: SpriteCache) -> list[np.ndarray]:
        from allaprima.lab.scenes.draw import draw_scene

        seeds = (seed for seed in range(1000) if draw_scene(seed).subjects[0].kind in ("car", "person"))
        return [render_scene(draw_scene(next(seeds)), sprites, 64).image for _ in range(count)]

    monkeypatch.setattr(upscaling, "unseen_pictures", pictures)
    monkeypatch.setattr(upscaling, "LARGE_SIDE", 64)
    settings = UpscalingSettings(scenes=2, runs=1, upscaler=tiny.upscaler)
    seen: list[tuple[str, int, int]] = []
    rows = measure_upscaling(retoucher, sprites, settings, lambda *step: seen.append(step))
    assert seen == [("enlarging scenes", 1, 2), ("enlarging scenes", 2, 2)]
    assert [(row.must, row.aim) for row in rows] == [(2.0, 4.0), (0.5, 0.1), (2.0, None), (1.0, None)]
    assert all(row.value is not None for row in rows)
