"""Both processes: round trips, ends, and the one answer that stands for many steps."""

from __future__ import annotations

import itertools

import pytest
import torch

from allaprima.lab.distill.rollout import arrive, at
from allaprima.paint.sampling.process import Flow, Process, VariancePreserving

PROCESSES = (Flow(shift=2.0), Flow(shift=3.0), VariancePreserving())


@pytest.fixture(params=PROCESSES, ids=["vignette", "qwen", "sdxl"])
def process(request: pytest.FixtureRequest) -> Process:
    """Each kind."""
    found: Process = request.param
    return found


def some(*shape: int) -> torch.Tensor:
    """Numbers that do not change."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 48, 50])
def test_levels_fall_to_a_clean_picture(process: Process, steps: int) -> None:
    levels = process.levels(steps)
    assert len(levels) == steps + 1
    assert all(after < before for before, after in itertools.pairwise(levels))
    assert levels[-1] == process.end
    alpha, sigma = process.alpha_sigma(torch.tensor([levels[-1]]))
    assert float(alpha) == 1
    assert float(sigma) == 0


def test_deployed_levels_of_few_steps_are_among_the_teachers(process: Process) -> None:
    fine = process.levels(48)
    for steps in (1, 2, 4, 8):
        assert list(process.levels(steps)) == pytest.approx(list(fine[:: 48 // steps]), abs=1e-6)


def test_shift_three_in_four_steps() -> None:
    assert Flow(shift=3.0).levels(4) == pytest.approx((1.0, 0.9, 0.75, 0.5, 0.0))
    assert VariancePreserving().levels(4) == (999.0, 749.0, 499.0, 249.0, -1.0)


def test_answer_and_clean_undo_each_other(process: Process) -> None:
    clean, noise = some(5, 2, 3, 3), some(5, 2, 3, 3).flip(0)
    t = process.times(torch.linspace(0.1, 1.0, 5))
    x = process.mix(clean, noise, t)
    answer = process.answer(x, t, clean)
    assert torch.allclose(process.clean(x, t, answer), clean, atol=1e-3)
    assert torch.allclose(process.noise(x, t, answer), noise, atol=1e-3)


def test_a_flow_answers_noise_minus_picture() -> None:
    process = Flow()
    clean, noise, t = some(2, 1, 2, 2), some(2, 1, 2, 2).flip(0), torch.tensor([0.3, 0.9])
    assert torch.allclose(process.answer(process.mix(clean, noise, t), t, clean), noise - clean, atol=1e-6)


def test_a_network_that_knows_the_picture_arrives_at_it_in_any_steps(process: Process) -> None:
    clean = some(2, 2, 3, 3)

    def answer(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return process.answer(x, t, clean)

    start = process.mix(clean, some(2, 2, 3, 3).flip(1), at(process.levels(1)[0], clean))
    for steps in (1, 4, 12):
        assert torch.allclose(arrive(process, answer, start, process.levels(steps)), clean, atol=2e-3)
        found = arrive(process, answer, start, process.levels(steps), "renoise", lambda: some(2, 2, 3, 3))
        assert torch.allclose(found, clean, atol=2e-3)


def test_solve_finds_the_answer_that_lands_where_many_steps_do(process: Process) -> None:
    x, x_after = some(3, 2, 3, 3), some(3, 2, 3, 3).flip(0)
    levels = process.levels(4)
    for first, second in itertools.pairwise(levels):
        t, after = torch.full((3,), first), torch.full((3,), second)
        answer = process.answer(x, t, process.solve(x, t, x_after, after))
        assert torch.allclose(process.step(x, t, after, answer), x_after, atol=1e-3)


def test_sdxl_noise_levels_are_diffusers() -> None:
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    assert torch.allclose(VariancePreserving().alphas[:1000], scheduler.alphas_cumprod, atol=1e-6)
