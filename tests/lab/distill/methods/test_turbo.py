"""Step compression, against its formulas for a network whose pictures are known by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.lab.distill.known import (
    FLOW,
    ROWS,
    Same,
    batch_of,
    colours,
    guided,
    simple_of,
    student_of,
    wide,
    words,
)
from tests.lab.distill.tiny import draw, make, run, short_training

from allaprima.lab.distill.learners import Learners
from allaprima.lab.distill.methods.turbo import TurboTask, similarity
from allaprima.lab.training.loop import train


def test_whole_networks_learn_too(tmp_path: Path) -> None:
    model, task = make("turbo", "vignette", whole=True, coupling="data")
    with torch.no_grad():
        before = float(task.loss(model, draw(9, 8))["loss"])
    train(model, task, short_training(tmp_path, 15, learning_rate=2e-3))
    with torch.no_grad():
        assert float(task.loss(model, draw(9, 8))["loss"]) < before


def test_similarity_is_one_for_equals_and_follows_structure() -> None:
    one = torch.randn(2, 4, 12, 12)
    assert torch.allclose(similarity(one, one), torch.ones(2), atol=1e-4)
    assert (similarity(one, torch.zeros_like(one)) < 0.9).all()


def test_turbo_on_the_articles_own_coupling_wants_the_pictures_velocity() -> None:
    model, task = make("turbo", "vignette", coupling="data", penalty=0.0)
    assert isinstance(model, Learners)
    x, t, wanted, _ = task.lesson(model, batch := task.material.batch(draw(1)), torch.tensor([0, 1, 2, 3]))
    assert torch.equal(wanted, batch.clean)
    late = slice(1, 4)
    velocity = model.process.prediction(x, t, wanted)
    assert torch.allclose(velocity[late], (batch.noise - batch.clean)[late], atol=1e-4)


def test_a_turbo_step_is_the_guided_teachers_many_at_their_own_levels() -> None:
    batch = batch_of()
    student = student_of(FLOW, (0.4, 1.0), student=(0.3, 0.5))
    task = TurboTask(
        learners=student, material=Same(batch), steps=4, teacher_steps=12, guidance=3.0, penalty=0.0
    )
    flow = task.loss(student, draw(1, ROWS))["flow"]
    ((x, t),) = simple_of(student).asked
    assert torch.allclose(x, wide(1 - t) * batch.pictures() + wide(t) * batch.noise, atol=1e-6)
    coarse, fine = FLOW.timesteps(4), FLOW.timesteps(12)
    which = [min(range(4), key=lambda index: abs(coarse[index] - float(one))) for one in t]
    assert set(which) == {0, 1, 2, 3}
    ends = []
    for row, (start, picture) in enumerate(zip(x, guided(batch, 3.0), strict=True)):
        first = 3 * which[row]
        for time, after in zip(fine[first : first + 3], fine[first + 1 : first + 4], strict=True):
            named = 0.4 * start + picture
            start = named + after / time * (start - named)
        ends.append(start)
    length = t - torch.tensor([coarse[one + 1] for one in which])
    velocity = (x - torch.stack(ends)) / wide(length)
    own = (x - 0.3 * x - 0.5 * colours(batch.text)) / wide(t)
    assert float(flow) == pytest.approx(float((own - velocity).square().mean()), rel=1e-3)


def test_the_penalty_is_the_dissimilarity_from_the_guided_teachers_picture_where_noise_is_high() -> None:
    batch = batch_of()
    student = student_of(FLOW, (0.0, 1.0), student=(0.0, 0.5))
    task = TurboTask(
        learners=student, material=Same(batch), teacher_steps=8, guidance=3.0, penalty=2.0, early=0.6
    )
    values = task.loss(student, draw(1, ROWS))
    ((_, t),) = simple_of(student).asked
    mine, theirs = 0.5 * words(batch.text), guided(batch, 3.0)[:, :, 0, 0]
    # Wang et al. 2004, of pictures of one colour: only the term of the means is left; C1 = (0.01 range)^2
    floor = (0.01 * 8.0) ** 2
    likeness = ((2 * mine * theirs + floor) / (mine.square() + theirs.square() + floor)).mean(1)
    early = t >= 0.6
    assert 0 < int(early.sum()) != int((~early).sum())
    penalty = float(((1 - likeness) * early).mean())
    flow = float(((mine - theirs).square().mean(1) / t.square()).mean())
    assert float(values["penalty"]) == pytest.approx(penalty, rel=1e-2)
    assert float(values["loss"].detach()) == pytest.approx(flow + 2.0 * penalty, rel=1e-3)


@pytest.mark.parametrize("steps", [3, 5, 16])
def test_turbo_asks_a_teacher_whose_steps_are_a_multiple_of_its_own(tmp_path: Path, steps: int) -> None:
    assert run(tmp_path, "turbo", 1, steps=steps).folder.is_dir()
    ranked = run(tmp_path, "ranked", 1, steps=steps, sites="all", ranks="sensitivity", parameters=6000)
    assert 0 < ranked.parameters <= 6000
