"""What students are taught at numbers of steps, and with material, that are less usual."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.lab.distill.test_methods import make
from tests.lab.distill.test_train import bench, run
from tests.lab.distill.tiny import Pictures, draw
from torch import Tensor

from allaprima.lab.distill.data import DistillBatch
from allaprima.lab.distill.learners import Learners
from allaprima.lab.distill.methods.lcm import LcmSettings, LcmTask
from allaprima.lab.distill.sensitivity import _spectrum
from allaprima.lab.distill.train import make_learners
from allaprima.lab.training.loop import Draw, LoopConfig


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7, 8, 16])
def test_the_first_steps_lesson_ends_where_the_first_step_does(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, task = make("dmd", "vignette", steps=steps, diversity=0.05)
    assert isinstance(model, Learners)
    batch = Pictures("vignette").batch(draw())
    monkeypatch.setattr(Learners, "guided", lambda _self, x, *_rest: torch.full_like(x, 2.0))
    first, second = model.process.timesteps(steps)[:2]
    arrived = task.anchor(model, batch)
    assert torch.allclose(arrived, batch.noise - (first - second) * 2.0, atol=1e-5)


@pytest.mark.parametrize("steps", [3, 5, 16])
def test_turbo_asks_a_teacher_whose_steps_are_a_multiple_of_its_own(tmp_path: Path, steps: int) -> None:
    assert run(tmp_path, "turbo", 1, steps=steps).folder.is_dir()
    ranked = run(tmp_path, "ranked", 1, steps=steps, sites="all", ranks="sensitivity", parameters=6000)
    assert 0 < ranked.parameters <= 6000


class Known:
    """Pictures that came along the teacher's way, from noises that know them entirely."""

    def batch(self, draw: Draw) -> DistillBatch:
        """Noise and picture are one."""
        batch = Pictures("vignette").batch(draw)
        picture = batch.pictures()
        return replace(batch, noise=picture, trajectory=torch.stack([picture, picture], 1))


def test_a_consistency_model_learns_from_fresh_noise_on_the_teachers_paths_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, _ = make("lcm", "vignette")
    task = LcmTask(learners=model, material=Known(), guidance=2.0)  # type: ignore[arg-type]
    seen: list[Tensor] = []

    def predict(_self: Learners, x: Tensor, *_rest: object, **_more: object) -> Tensor:
        seen.append(x)
        return torch.zeros_like(x, requires_grad=True)

    monkeypatch.setattr(Learners, "predict", predict)
    task.loss(model, draw(3, batch=64))
    picture = Known().batch(draw(3, batch=64)).pictures()
    related = torch.corrcoef(torch.stack([(seen[-1] - picture).flatten(), picture.flatten()]))[0, 1]
    # Noised with itself a picture would only shrink, so that the difference would be the picture's opposite: -1.
    assert -0.9 < float(related) < 0


@pytest.mark.parametrize("guidance", [1.0, 1.5, 4.0])
def test_a_student_that_is_told_its_guidance_learns_the_one_of_the_exam(
    tmp_path: Path, guidance: float
) -> None:
    laid = bench(tmp_path)
    settings = LcmSettings(whole=True, embedded=True, guidance=guidance)
    config = LoopConfig(folder=tmp_path / "lcm", steps=1, batch_size=2, learning_rate=1e-3)
    _, task = settings.build(laid, make_learners(laid, settings, config, read=False), None, None)
    assert isinstance(task, LcmTask)
    assert task.guidance_range is not None
    low, high = task.guidance_range
    assert settings.student_guidance == guidance
    assert low <= guidance <= high
    assert low < high


def test_spectra_of_large_layers_are_the_same_each_time_and_near_the_exact_ones() -> None:
    torch.manual_seed(0)
    gradient = torch.randn(1100, 64) @ torch.randn(64, 1100) / 30 + 0.1 * torch.randn(1100, 1100)
    first = _spectrum(gradient)
    torch.rand(5)
    assert _spectrum(gradient) == first
    exact = torch.linalg.svdvals(gradient)[: len(first)].square().sum()
    assert float(torch.tensor(first).square().sum()) == pytest.approx(float(exact), rel=0.01)
