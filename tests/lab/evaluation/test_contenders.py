"""Students are worn, paint, and are taken off."""

from __future__ import annotations

from pathlib import Path

import torch
from tests.lab.evaluation.students import write_student
from tests.tiny_vignette import write_tiny_vignette

from allaprima.lab.evaluation.contenders import Contender, paint, worn
from allaprima.paint.bases.vignette.base import load_vignette


def test_a_worn_lora_changes_the_pictures_and_comes_off_without_a_trace(tmp_path: Path) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path))
    lora = write_student(tmp_path / "turbo.safetensors", base)
    before = {name: one.clone() for name, one in base.denoiser.state_dict().items()}
    contender = Contender(method="turbo", steps=2, guidance=1.0, lora=lora)
    bare = paint(base, ["a cat"], [1], contender)
    with worn(base, lora):
        assert not torch.equal(paint(base, ["a cat"], [1], contender), bare)
    assert all(torch.equal(one, before[name]) for name, one in base.denoiser.state_dict().items())


def test_a_consistency_student_paints_with_fresh_noise_from_its_seed(tmp_path: Path) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path))
    lora = write_student(tmp_path / "lcm.safetensors", base, sampler="lcm")
    contender = Contender(method="lcm", steps=2, guidance=1.0, lora=lora)
    alone = paint(base, ["a cat"], [2], contender)
    both = paint(base, ["a dog", "a cat"], [1, 2], contender)
    assert (alone[0] - both[1]).abs().max() < 0.02
    straight = paint(base, ["a cat"], [2], Contender(method="base", steps=2, guidance=1.0))
    assert not torch.equal(alone, straight)
