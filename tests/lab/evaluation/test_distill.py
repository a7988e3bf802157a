"""The distillation table: its measures on pictures whose answer is known, and the whole of it on a tiny base."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from tests.tiny_vignette import write_tiny_vignette
from torch import Tensor

from allaprima.core.errors import LoraError
from allaprima.lab.evaluation.contenders import Contender, paint, worn
from allaprima.lab.evaluation.distill import (
    Comparison,
    DistillSettings,
    Line,
    Tools,
    compare_students,
    time_in_turns,
    with_times,
)
from allaprima.lab.evaluation.distill_report import aim_rows, to_html, to_markdown, write_distill_report
from allaprima.lab.evaluation.pictures import diversity, frechet, high_frequencies, saturation
from allaprima.lab.evaluation.suites import build_suites
from allaprima.paint.bases.vignette.base import VignetteBase, load_vignette
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.files.writer import write_lora
from allaprima.paint.lora.update import LowRank


def test_frechet_of_normal_clouds_is_what_the_formula_says() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(4000, 3, generator=generator)
    second = 2 * torch.randn(4000, 3, generator=generator) + torch.tensor([3.0, 0, 0])
    assert frechet(first, first) == pytest.approx(0, abs=1e-6)
    assert frechet(first, second) == pytest.approx(9 + 3 * (2 - 1) ** 2, rel=0.1)


def test_diversity_is_the_mean_distance_within_a_prompt() -> None:
    features = torch.tensor([[[0.0, 0], [3, 4]], [[10, 10], [10, 10]]])
    assert diversity(features) == pytest.approx(2.5)


def test_saturation_and_high_frequencies() -> None:
    grey, red = torch.full((1, 3, 32, 32), 0.5), torch.zeros(1, 3, 32, 32)
    red[:, 0] = 1
    assert saturation(grey) == 0
    assert saturation(red) == 1
    assert high_frequencies(grey) == pytest.approx(0, abs=1e-6)
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2
    grid = board.float().expand(1, 3, 32, 32)
    assert high_frequencies(grid) > 100


def write_student(
    path: Path, base: VignetteBase, *, sampler: str = "euler", base_hash: str | None = None
) -> Path:
    """A LoRA that changes something."""
    generator = torch.Generator().manual_seed(1)
    weight = base.denoiser.transformer.transformer_blocks[0].attn.to_q.weight  # type: ignore[union-attr]
    assert isinstance(weight, Tensor)
    low = LowRank(
        down=torch.randn(2, weight.shape[1], generator=generator),
        up=torch.randn(weight.shape[0], 2, generator=generator),
    )
    metadata = LoraMetadata(
        family="vignette", sigmas=(1.0, 0.7, 0.0), sampler=sampler, steps=2, guidance=1.0, base_hash=base_hash
    )
    updates = {"transformer.transformer_blocks.0.attn.to_q": low}
    return write_lora(path, Lora(name="turbo", updates=dict(updates), metadata=metadata))


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
    times = time_in_turns(base, [slow, quick], build_suites(9, 0), 3)
    assert painted == [("base", False), ("base", False), ("turbo", True), ("turbo", True)] * 3
    assert [len(mine) for mine in times] == [3, 3]
    assert all(seconds > 0 for mine in times for seconds in mine)


def test_a_speed_up_is_told_from_what_was_painted_in_the_same_round() -> None:
    timed = with_times(line("turbo", 4), [1.0, 2.0, 0.5], [10.0, 20.0, 5.0])
    assert timed.values == {"seconds": 1.0, "speed_up": 10.0}
    assert timed.spread == {"speed_up": 0.0}


def line(method: str, steps: int, **values: float) -> Line:
    """A measured line."""
    return Line(name=f"{method}, {steps}", method=method, steps=steps, values=dict(values))


def test_rows_say_what_must_be_reached() -> None:
    lines = (
        line("base", 50, judge=90.0),
        line("turbo", 4, judge=89.0, diversity=96.0, speed_up=21.0, megabytes=2.0),
        line("turbo", 1, judge=80.0, speed_up=61.0),
        line("rank16", 4, judge=89.2, megabytes=8.0),
        line("uniform", 4, judge=88.0),
        line("sensitivity", 4, judge=89.0),
    )
    found = Comparison(settings=DistillSettings(), lines=lines, prompts=(), left_out=(), seconds=1.0)
    rows = {row.name: row for row in aim_rows(found, "turbo", "turbo")}
    assert rows["turbo, 4 steps, judge behind the base"].value == 1.0
    assert rows["turbo, 4 steps, judge behind the base"].state == "reached"
    assert rows["turbo, 1 step, judge behind the base"].state == "short"
    assert rows["turbo, 4 steps, diversity kept"].state == "aim reached"
    assert rows["turbo, 4 steps, times as fast"].state == "aim reached"
    assert rows["size saved against rank 16 everywhere"].value == 75.0
    assert rows["sensitivity ranks behind uniform ones"].value == -1.0
    when = datetime(2026, 1, 2, tzinfo=UTC)
    assert "turbo, 4" in to_markdown(found, list(rows.values()), when)
    assert to_html(found, list(rows.values()), when).startswith("<!doctype html>")


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
        compare_students(base, [("good", good), ("bad", bad)], Tools())


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
