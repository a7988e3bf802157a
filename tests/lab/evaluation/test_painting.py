"""Pictures in batches."""

from __future__ import annotations

from pathlib import Path

import torch
from tests.tiny import SteadyBase
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.request import GenerationRequest
from allaprima.lab.evaluation.painting import PaintSettings, paint_batches
from allaprima.paint.painter import Painter


def test_pictures_do_not_depend_on_guidance_of_one_being_asked_for_plainly() -> None:
    base = SteadyBase()
    plain = PaintSettings(steps=2, guidance=1.0, batch=2)
    pictures = torch.cat(list(paint_batches(base, ["cat", "dog", "emu"], [1, 2, 3], plain)))
    assert pictures.shape == (3, 3, 256, 256)
    assert [len(prompts) for prompts in base.encoded] == [2, 1]
    assert float((pictures * 255).frac().abs().max()) < 1e-3


def test_a_base_that_reads_layouts_is_told_those_that_the_seeds_complete(tmp_path: Path) -> None:
    folder = write_tiny_vignette(tmp_path / "weights", reads_layout=True)
    with Painter.load(folder=folder, device="cpu", precision="fp32") as painter:
        prompts, seeds = ["a cat on the beach", "a dog"], [3, 4]
        judged = torch.cat(
            list(paint_batches(painter.base, prompts, seeds, PaintSettings(steps=2, guidance=2.0)))
        )
        for picture, prompt, seed in zip(judged, prompts, seeds, strict=True):
            request = GenerationRequest(prompt=prompt, seed=seed, steps=2, guidance=2.0)
            painted = torch.frombuffer(bytearray(painter.paint(request).rgb), dtype=torch.uint8)
            told = (picture * 255).round().permute(1, 2, 0).flatten()
            assert float((told - painted).abs().max()) <= 1
