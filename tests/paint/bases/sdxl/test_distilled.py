"""Whole checkpoints whose name tells that they paint in few steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.tiny_sdxl import shapes_of, write_tiny_file

from allaprima.core.errors import WeightsError
from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.sdxl.base import load_sdxl
from allaprima.paint.bases.sdxl.distilled import find_distilled


@pytest.mark.parametrize(
    ("stem", "steps", "schedule"),
    [
        ("sd_xl_turbo_1.0_fp16", 1, "turbo"),
        ("sd_xl_turbo_1.0", 1, "turbo"),
        ("sdxl_lightning_2step", 2, "trailing"),
        ("sdxl_lightning_4step", 4, "trailing"),
        ("sdxl_lightning_8step", 8, "trailing"),
    ],
)
def test_a_file_is_painted_as_its_name_tells(
    stem: str, steps: int, schedule: str, folder: Path, tmp_path: Path
) -> None:
    base = load_sdxl(
        write_tiny_file(tmp_path / f"{stem}.safetensors", folder), shapes=shapes_of(folder), name=stem
    )
    assert (base.defaults.steps, base.defaults.guidance) == (steps, 1.0)
    assert base.schedule(steps, 64, 64) == base.schedule(steps, 64, 64, schedule)
    request = GenerationRequest(prompt="a cat", steps=steps, guidance=1.0)
    assert base.remarks(request) == ()
    (burning,) = base.remarks(replace(request, guidance=5.0))
    assert "without guidance; with guidance 5 a picture may burn out" in burning
    (many,) = base.remarks(replace(request, steps=30))
    assert many.endswith("steps; 30 are asked for")


def test_a_checkpoint_that_predicts_the_picture_is_refused(folder: Path, tmp_path: Path) -> None:
    file = write_tiny_file(tmp_path / "sdxl_lightning_1step_x0.safetensors", folder)
    with pytest.raises(WeightsError, match="got a scheduler for 'sample'; expected epsilon or v_prediction"):
        load_sdxl(file, shapes=shapes_of(folder))


@pytest.mark.parametrize(
    "stem", ["sd_xl_base_1.0", "my_sdxl_lightning_4step_mix", "turbo", "sdxl_lightning_4step_unet"]
)
def test_of_other_names_nothing_is_claimed(stem: str) -> None:
    assert find_distilled(stem) is None
