"""A teacher whose weights are narrow, as on a GPU: what learns on it is not, and whoever asks it gets an answer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.lab.distill.test_learners import inputs
from tests.lab.distill.tiny import FAMILIES, SHAPES, teacher, texts

from allaprima.lab.distill.learners import FAKE, STUDENT, Learners
from allaprima.lab.distill.sensitivity import measure_sensitivity
from allaprima.lab.distill.target_modules import find_target_modules, uniform_ranks
from allaprima.lab.distill.validation import ValidationSettings, prepare_validation


@pytest.mark.parametrize("family", FAMILIES)
def test_what_learns_on_narrow_weights_is_wide_and_moves(family: str) -> None:
    network = teacher(family).to(torch.bfloat16)
    student = Learners(network, {STUDENT: uniform_ranks(find_target_modules(network), 2), FAKE: None})
    learned = student.learned() + student.learned(FAKE)
    assert {one.dtype for one in learned} == {torch.float32}
    x, t = inputs(family)
    text = texts(family).take([0, 1, 2])
    before = [one.detach().clone() for one in student.learned()]
    optimizer = torch.optim.AdamW(student.learned(), lr=1e-5, weight_decay=0.0)
    for _ in range(2):  # the first matrix has no gradient while the second is zero
        loss = (student.predict(x, t, text) - x).square().mean()
        torch.autograd.backward(loss, inputs=list(student.learned()))
        optimizer.step()
        optimizer.zero_grad()
    moved = [(one != old)[one != 0] for one, old in zip(student.learned(), before, strict=True)]
    assert (
        torch.cat([one.flatten() for one in moved]).float().mean() > 0.9
    )  # the last block's text leads nowhere


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
