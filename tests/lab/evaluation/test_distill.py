"""The distillation table: its measures on pictures whose answer is known, and the whole of it on a tiny base."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from tests.lab.evaluation.students import line, write_student
from tests.tiny_vignette import write_tiny_vignette
from torch import Tensor

from allaprima.core.errors import LoraError
from allaprima.lab.evaluation.contenders import Contender, paint
from allaprima.lab.evaluation.distill import (
    DistillSettings,
    Tools,
    compare_students,
    time_in_turns,
    with_times,
)
from allaprima.lab.evaluation.distill_report import aim_rows, write_distill_report
from allaprima.lab.evaluation.suites import build_suites
from allaprima.paint.bases.vignette.base import VignetteBase, load_vignette


def test_the_whole_table_on_a_tiny_base(tmp_path: Path) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path))
    lora = write_student(tmp_path / "turbo.safetensors", base)
    settings = DistillSettings(
        prompts=9, teacher_steps=4, base_steps=(2,), student_steps=(1, 2), reals=0, timed=1, shown=2, batch=5
    )
    found = compare_students(base, [("turbo", lora), ("turbo", lora)], Tools(), settings)
    assert [line.name for line in found.lines] == [
        "base, 4 steps, guidance 4",
        "base, 2 steps, guidance 4",
        "turbo, 1 step",
        "turbo, 2 steps",
    ]
    teacher, fewer, _, student = found.lines
    assert teacher.values["speed_up"] == 1
    assert student.values["seconds"] is not None
    assert student.values["seconds"] > 0
    assert teacher.values["psnr"] is None
    assert fewer.values["psnr"] is not None
    assert student.trainings == 2
    assert student.spread["psnr"] == 0
    assert student.values["megabytes"] == pytest.approx(lora.stat().st_size / 1e6)
    assert student.values["judge"] is None
    assert len(found.left_out) == 2
    rows = aim_rows(found, "turbo", "turbo")
    report = write_distill_report(found, rows, tmp_path / "out", datetime(2026, 1, 2, tzinfo=UTC))
    data = json.loads(report.json.read_text())
    assert {"name", "value", "unit", "must", "aim", "better"} <= set(data["rows"][0])
    assert report.html.read_text().count("<img") == 2 * len(found.lines)
    assert "the judge's column is left out" in report.markdown.read_text()
    assert "| judge, % |" not in report.markdown.read_text()


def test_times_are_taken_in_turns_with_the_lora_worn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path))
    lora = write_student(tmp_path / "turbo.safetensors", base)
    weight = base.denoiser.transformer.transformer_blocks[0].attn.to_q.weight  # type: ignore[union-attr]
    assert isinstance(weight, Tensor)
    bare = weight.clone()
    painted = []

    def watched(base: VignetteBase, prompts: list[str], seeds: list[int], contender: Contender) -> Tensor:
        painted.append((contender.method, not torch.equal(weight, bare)))
        return paint(base, prompts, seeds, contender)

    monkeypatch.setattr("allaprima.lab.evaluation.distill.paint", watched)
    slow = Contender(method="base", steps=2, guidance=4.0)
    quick = Contender(method="turbo", steps=1, guidance=1.0, lora=lora)
    times = time_in_turns(base, [slow, quick], build_suites(9, 0), 3, lambda *_: None)
    assert painted == [("base", False), ("base", False), ("turbo", True), ("turbo", True)] * 3
    assert [len(mine) for mine in times] == [3, 3]
    assert all(seconds > 0 for mine in times for seconds in mine)


def test_a_speed_up_is_told_from_what_was_painted_in_the_same_round() -> None:
    timed = with_times(line("turbo", 4), [1.0, 2.0, 0.5], [10.0, 20.0, 5.0])
    assert timed.values == {"seconds": 1.0, "speed_up": 10.0}
    assert timed.spread == {"speed_up": 0.0}


def test_students_are_read_before_anything_is_painted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path))
    good, bad = write_student(tmp_path / "turbo.safetensors", base), tmp_path / "cut.safetensors"
    bad.write_bytes(good.read_bytes()[:-40])

    def never(*_arguments: object) -> Tensor:
        pytest.fail("something was painted")

    monkeypatch.setattr("allaprima.lab.evaluation.distill.paint", never)
    with pytest.raises(LoraError):
        compare_students(base, [("good", good), ("bad", bad)], Tools(), DistillSettings())


def test_a_student_of_other_weights_is_named(tmp_path: Path) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path))
    lora = write_student(tmp_path / "turbo.safetensors", base, base_hash="a" * 64)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"damaged")
    settings = DistillSettings(
        prompts=9, teacher_steps=2, base_steps=(), student_steps=(1,), reals=0, timed=1, shown=1, batch=9
    )
    for told, named in (("b" * 64, 1), ("a" * 64, 0), (None, 0)):
        found = compare_students(base, [("turbo", lora)], Tools(), settings, base_hash=told)
        assert sum("turbo.safetensors) was distilled from other" in one for one in found.left_out) == named
        assert found.lines[1].values["minutes"] is None
