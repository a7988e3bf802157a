"""Validation: the teacher's pictures are the guided teacher's, the student paints as it will, the best is kept."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.distill.known import (
    FLOW,
    PROCESSES,
    ROWS,
    SHAPE,
    batch_of,
    colours,
    prompts,
    simple_of,
    student_of,
    wide,
)
from tests.lab.distill.tiny import FAMILIES, SHAPES, inputs, make, run, teacher, texts
from tests.tiny_vignette import write_tiny_vignette

from allaprima.lab.distill.learners import STUDENT, Learners
from allaprima.lab.distill.rollout import StudentSampler
from allaprima.lab.distill.sensitivity import measure_sensitivity
from allaprima.lab.distill.target_modules import find_target_modules, uniform_ranks
from allaprima.lab.distill.validation import ValidationSettings, prepare_validation
from allaprima.lab.training.checkpoint import read_tensors
from allaprima.paint.sampling.process import TrainingProcess


def test_a_told_student_paints_by_what_it_is_told_in_the_exam_too(tmp_path: Path) -> None:
    batch = batch_of()
    student = student_of(FLOW, (0.0, 1.0), width=1, student=(0.0, 0.5))
    embedding = student.guidance
    assert embedding is not None
    with torch.no_grad():
        embedding.project.weight.zero_()
        embedding.project.weight[0, 128] = 1.0  # the cosine of the fastest angle, a thousand times the scale
        scales = torch.linspace(1, 8, ROWS)
        t = torch.full((ROWS,), 0.5)
        answer = student.predict(batch.noise, t, batch.text, guidance=scales)
        painted = FLOW.clean(batch.noise, t, answer)
    expected = 0.5 * colours(batch.text) + wide((1000 * scales).cos())
    assert torch.allclose(painted, expected, atol=1e-3)
    settings = ValidationSettings(steps=2, teacher_steps=2, student_guidance=5.0)
    exam = prepare_validation(tmp_path, student, prompts(3), range(3), SHAPE, settings)
    assert torch.allclose(exam.paint(student), 0.5 * colours(exam.text) + math.cos(5000), atol=1e-3)


@PROCESSES
def test_the_exams_answers_are_the_guided_teachers(process: TrainingProcess, tmp_path: Path) -> None:
    student, known = student_of(process, (0.0, 1.0), student=(0.0, 0.5)), prompts(6)
    settings = ValidationSettings(steps=2, teacher_steps=5, guidance=3.0, batch=4)
    exam = prepare_validation(tmp_path, student, known, [1, 3, 5, 0, 2], SHAPE, settings)
    wanted, empty = colours(known.take([1, 3, 5, 0, 2])), colours(known.empty(5))
    assert torch.allclose(exam.teacher_latents, empty + 3.0 * (wanted - empty), atol=1e-3)
    assert torch.allclose(exam.paint(student), 0.5 * wanted, atol=1e-3)


@PROCESSES
@pytest.mark.parametrize("sampler", ["euler", "lcm"])
def test_in_the_exam_the_student_keeps_its_noise_or_has_new_by_its_own_rule(
    process: TrainingProcess, sampler: StudentSampler, tmp_path: Path
) -> None:
    student = student_of(process, (0.0, 1.0), student=(0.0, 0.5))
    settings = ValidationSettings(steps=3, sampler=sampler, teacher_steps=2, guidance=3.0)
    exam = prepare_validation(tmp_path, student, prompts(5), range(5), SHAPE, settings)
    exam.paint(student)
    named = 0.5 * colours(exam.text)
    noises = []
    for x, t in simple_of(student).asked:
        alpha, sigma = process.alpha_sigma(t)
        noises.append((x - alpha * named) / sigma)
    assert len(noises) == 3
    first = noises[0]
    for before, after in pairwise(noises):
        if sampler == "euler":
            assert torch.allclose(after, first, atol=1e-4)
        else:
            share = torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1]
            assert abs(float(share)) < 0.1
            assert float(after.std()) == pytest.approx(1.0, abs=0.05)
            assert float(after.mean()) == pytest.approx(0.0, abs=0.05)


def test_the_exam_scores_keeps_the_best_and_reads_the_teachers_answers_again(tmp_path: Path) -> None:
    model, _ = make("turbo", "vignette")
    assert isinstance(model, Learners)
    kept: list[tuple[int, float]] = []
    settings = ValidationSettings(steps=4, teacher_steps=12, guidance=2.0, batch=3, shown=2)

    def exam(keep: Callable[..., None] | None = None, look: Callable[..., torch.Tensor] | None = None) -> Any:
        return prepare_validation(
            tmp_path,
            model,
            texts("vignette"),
            [0, 1, 2, 3],
            SHAPES["vignette"],
            settings,
            decode=lambda latents: latents[:, :3].sigmoid(),
            save_best=keep,
            embed=look,
        )

    first = exam(keep=lambda _student, _folder, step, score: kept.append((step, score)))
    again = exam()
    assert torch.equal(first.teacher_latents, again.teacher_latents)
    score = first.run(model, tmp_path, 10)
    assert score > 0
    assert first.score(first.teacher_latents)["score"] == 0
    # What an image network sees decides where there is one: here one that sees edges, and blur has none.
    seeing = exam(look=lambda latents: latents.diff(dim=-1).abs().mean((1, 2, 3))[:, None])
    blurred = seeing.teacher_latents.mean((2, 3), keepdim=True).expand_as(seeing.teacher_latents)
    strange = seeing.teacher_latents.roll(1, dims=-2)
    blind, sharp = (seeing.score(one) for one in (blurred, strange))
    assert blind["latents"] < sharp["latents"]
    assert sharp["score"] == sharp["features"] < blind["score"]
    with torch.no_grad():
        for parameter in model.learned():
            parameter.add_(0.3)
    worse = first.run(model, tmp_path, 20)
    assert worse > score
    assert first.run(model, tmp_path, 20) == worse
    assert kept == [(10, score)]
    assert len((tmp_path / "exam.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "sample-0000010.png").stat().st_size > 100


@pytest.mark.parametrize("family", FAMILIES)
def test_a_narrow_teacher_sits_the_exam_and_the_sensitivity_pass(family: str, tmp_path: Path) -> None:
    network = teacher(family).to(torch.bfloat16)
    sites = find_target_modules(network)
    student = Learners(network, {STUDENT: {}})
    x, t = inputs(family)
    text = texts(family).take([0, 1, 2])
    found = measure_sensitivity(
        network, sites, lambda _: (student.predict(x, t, text) - x).square().mean(), batches=1
    )
    assert max(map(len, found.spectra.values())) > 0
    student = Learners(network, {STUDENT: uniform_ranks(sites, 2)})
    settings = ValidationSettings(steps=2, teacher_steps=4)
    exam = prepare_validation(tmp_path, student, texts(family), range(3), SHAPES[family], settings)
    assert exam.teacher_latents.dtype == torch.float32
    assert 0 < exam.run(student, tmp_path, 1) < 100


def test_answers_of_another_teacher_are_not_read_again(tmp_path: Path) -> None:
    run(tmp_path, "first", 2)
    taught = read_tensors(tmp_path / "first" / "exam.safetensors")[0]["taught"]
    shutil.rmtree(tmp_path / "weights")
    write_tiny_vignette(tmp_path / "weights", seed=9)
    (tmp_path / "second").mkdir()
    shutil.copy(tmp_path / "first" / "exam.safetensors", tmp_path / "second")
    run(tmp_path, "second", 2)
    assert not torch.equal(read_tensors(tmp_path / "second" / "exam.safetensors")[0]["taught"], taught)
