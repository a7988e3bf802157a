"""A student's file: diffusers' names, how to paint, and a start for another student."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from tests.lab.distill.tiny import FAMILIES, inputs, run, teacher, texts

from allaprima.core.errors import UserError
from allaprima.lab.distill.learners import STUDENT, Learners
from allaprima.lab.distill.lora_file import write_student
from allaprima.lab.distill.methods.turbo import TurboSettings
from allaprima.lab.distill.target_modules import (
    find_target_modules,
)
from allaprima.lab.training.checkpoint import read_tensors, write_tensors
from allaprima.paint.lora.files.reader import read_lora


@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_has_diffusers_names_and_says_how_to_paint(family: str, tmp_path: Path) -> None:
    network = teacher(family)
    ranks = {site.path: 2 for site in find_target_modules(network, "text")}
    student = Learners(network, {STUDENT: ranks}, seed=4)
    with torch.no_grad():
        for parameter in student.learned():
            parameter.add_(0.05)
    about = {"family": family, "base_hash": "ab" * 32}
    path = write_student(
        tmp_path / "turbo.safetensors", student, TurboSettings(), **about, updates=7, score=0.5
    )
    with safe_open(path, framework="pt") as file:
        keys, metadata = list(file.keys()), file.metadata()
    assert all(key.startswith(f"{network.root}.") and ".lora_" in key for key in keys)
    assert json.loads(metadata["allaprima.sigmas"]) == pytest.approx(network.process.sigmas(4))
    assert json.loads(metadata["distill.site_ranks"]) == ranks
    bare = teacher(family)
    lora = read_lora(path, {network.root: bare.network}, family=family)
    assert lora.metadata.steps == 4
    assert lora.metadata.guidance == 1.0
    assert lora.metadata.sigmas == pytest.approx(network.process.sigmas(4))
    assert lora.metadata.sigmas[-1] == 0
    assert lora.metadata.base_hash == "ab" * 32
    assert not lora.unmatched
    from allaprima.paint.lora.update import delta_of

    with torch.no_grad():
        for key, update in lora.updates.items():
            bare.network.get_submodule(key.removeprefix(f"{network.root}.")).weight.add_(delta_of(update))  # type: ignore[operator]
        x, t = inputs(family)
        text = texts(family).take([0, 1, 2])
        assert torch.allclose(bare(x, t, text), student.predict(x, t, text), atol=1e-4)


def test_a_student_of_another_family_is_no_start(tmp_path: Path) -> None:
    lora = run(tmp_path, "first", 2).lora
    assert lora is not None
    tensors, metadata = read_tensors(lora)
    told = {**metadata, "allaprima.family": "qwen-image"}
    write_tensors(tmp_path / "foreign.safetensors", tensors, told)
    with pytest.raises(
        UserError, match="of family qwen-image; expected one for this base, of family vignette"
    ):
        run(tmp_path, "again", 2, start=tmp_path / "foreign.safetensors")


def test_a_student_begins_where_another_ended(tmp_path: Path) -> None:
    first = run(tmp_path, "first", 4).lora
    assert first is not None
    again = run(tmp_path, "again", 2, method="dmd", fake_updates=1, start=first)
    ranks = [json.loads((tmp_path / name / "ranks.json").read_text())["ranks"] for name in ("first", "again")]
    assert ranks[0] == ranks[1]
    begun, before = (read_tensors(path)[0] for path in (again.lora or tmp_path, first))
    assert begun.keys() == before.keys()
    moved = max(float((begun[name].float() - before[name].float()).abs().max()) for name in begun)
    assert 0 < moved < 0.1
    with pytest.raises(UserError, match="expected a LoRA that `prima distill` wrote"):
        run(tmp_path, "other", 1, start=tmp_path / "weights" / "text.safetensors")
    with pytest.raises(UserError, match="one of the two"):
        TurboSettings(whole=True, start=first)
