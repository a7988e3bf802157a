"""Pictures in batches."""

from __future__ import annotations

import torch
from tests.tiny import SteadyBase

from allaprima.lab.evaluation.painting import PaintSettings, paint_batches


def test_pictures_do_not_depend_on_guidance_of_one_being_asked_for_plainly() -> None:
    base = SteadyBase()
    plain = PaintSettings(steps=2, guidance=1.0, batch=2)
    pictures = torch.cat(list(paint_batches(base, ["cat", "dog", "emu"], [1, 2, 3], plain)))
    assert pictures.shape == (3, 3, 256, 256)
    assert [len(prompts) for prompts in base.encoded] == [2, 1]
    assert float((pictures * 255).frac().abs().max()) < 1e-3
