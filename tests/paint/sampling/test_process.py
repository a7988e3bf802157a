"""Both processes: round trips, ends, and the one answer that stands for many steps."""

from __future__ import annotations

import itertools

import pytest
import torch

from allaprima.paint.contract.base import Prediction
from allaprima.paint.contract.schedule import ProcessKind
from allaprima.paint.sampling.process import (
    Flow,
    Process,
    TrainingProcess,
    VarianceExploding,
    VariancePreserving,
    exploding_sigma,
    process_of,
)

PROCESSES = (Flow(shift=2.0), Flow(shift=3.0), VariancePreserving())


@pytest.fixture(params=PROCESSES, ids=["vignette", "qwen", "sdxl"])
def process(request: pytest.FixtureRequest) -> TrainingProcess:
    """Each kind."""
    found: TrainingProcess = request.param
    return found


def some(*shape: int) -> torch.Tensor:
    """Numbers that do not change."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 48, 50])
def test_levels_fall_to_a_clean_picture(process: TrainingProcess, steps: int) -> None:
    levels = process.timesteps(steps)
    assert len(levels) == steps + 1
    assert all(after < before for before, after in itertools.pairwise(levels))
    assert levels[-1] == process.end
    alpha, sigma = process.alpha_sigma(torch.tensor([levels[-1]]))
    assert float(alpha) == 1
    assert float(sigma) == 0


def test_deployed_levels_of_few_steps_are_among_the_teachers(process: TrainingProcess) -> None:
    fine = process.timesteps(48)
    for steps in (1, 2, 4, 8):
        assert list(process.timesteps(steps)) == pytest.approx(list(fine[:: 48 // steps]), abs=1e-6)


def test_shift_three_in_four_steps() -> None:
    assert Flow(shift=3.0).timesteps(4) == pytest.approx((1.0, 0.9, 0.75, 0.5, 0.0))
    assert VariancePreserving().timesteps(4) == (999.0, 749.0, 499.0, 249.0, -1.0)


def test_answer_and_clean_undo_each_other(process: TrainingProcess) -> None:
    clean, noise = some(5, 2, 3, 3), some(5, 2, 3, 3).flip(0)
    t = process.times(torch.linspace(0.1, 1.0, 5))
    x = process.mix(clean, noise, t)
    answer = process.prediction(x, t, clean)
    assert torch.allclose(process.clean(x, t, answer), clean, atol=1e-3)
    assert torch.allclose(process.noise(x, t, answer), noise, atol=1e-3)


def test_a_flow_answers_noise_minus_picture() -> None:
    process = Flow()
    clean, noise, t = some(2, 1, 2, 2), some(2, 1, 2, 2).flip(0), torch.tensor([0.3, 0.9])
    assert torch.allclose(
        process.prediction(process.mix(clean, noise, t), t, clean), noise - clean, atol=1e-6
    )


def test_solve_finds_the_answer_that_lands_where_many_steps_do(process: TrainingProcess) -> None:
    x, x_after = some(3, 2, 3, 3), some(3, 2, 3, 3).flip(0)
    levels = process.timesteps(4)
    for first, second in itertools.pairwise(levels):
        t, after = torch.full((3,), first), torch.full((3,), second)
        answer = process.prediction(x, t, process.solve(x, t, x_after, after))
        assert torch.allclose(process.step(x, t, after, answer), x_after, atol=1e-3)


def test_sdxl_noise_levels_are_diffusers() -> None:
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    assert torch.allclose(VariancePreserving().alphas[:1000], scheduler.alphas_cumprod, atol=1e-6)


def test_a_consistency_model_is_itself_where_there_is_no_noise(process: TrainingProcess) -> None:
    x, zero = some(2, 3, 4, 4), torch.zeros(2)
    clean = (
        process.clean(x, zero, some(2, 3, 4, 4).flip(0))
        if isinstance(process, Flow)
        else some(2, 3, 4, 4).flip(0)
    )
    assert torch.allclose(process.consistent(x, zero, zero, clean), x, atol=1e-5)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_painted_and_trained_latents_name_one_picture(prediction: Prediction) -> None:
    trained, painted = VariancePreserving(), process_of("variance_exploding", prediction)
    assert painted == VarianceExploding(predicts=prediction)
    for time, share in zip(trained.timesteps(4)[:-1], trained.sigmas(4)[:-1], strict=True):
        t, sigma = torch.tensor([time]), exploding_sigma(share)
        x, noise = some(1, 2, 3, 3), some(1, 2, 3, 3).flip(1)
        alpha, _ = trained.alpha_sigma(t)
        clean = trained.clean(x, t, noise)
        exploding = painted.mix(clean, noise, sigma)
        assert torch.allclose(painted.network_input(exploding, sigma), x, atol=1e-5)
        answer = noise if prediction == "epsilon" else alpha * noise - share * clean
        assert torch.allclose(painted.clean(exploding, sigma, answer), clean, rtol=1e-3, atol=2e-3)
        there = (painted.consistent(exploding, sigma, time, clean), trained.consistent(x, t, t, clean))
        assert torch.allclose(*there, atol=1e-5)


def test_one_level_for_all_rows_is_as_good_as_one_for_each(process: TrainingProcess) -> None:
    clean, noise = some(3, 2, 3, 3), some(3, 2, 3, 3).flip(0)
    for time in process.timesteps(4)[:-1]:
        each = process.mix(clean, noise, torch.full((3,), time))
        assert torch.allclose(process.mix(clean, noise, time), each, atol=1e-6)


KINDS: tuple[ProcessKind, ...] = ("variance_exploding", "variance_preserving")
PREDICTIONS: tuple[Prediction, ...] = ("epsilon", "v")
TAUGHT = (*PROCESSES, *(process_of(kind, predicts) for kind in KINDS for predicts in PREDICTIONS))


@pytest.mark.parametrize("taught", TAUGHT, ids=str)
def test_who_predicts_the_target_names_the_clean_picture(taught: Process) -> None:
    clean, noise = some(3, 2, 3, 3), some(3, 2, 3, 3).flip(0)
    levels = torch.tensor([0.3, 0.9, 1.0]) * (900 if isinstance(taught, VariancePreserving) else 1)
    x = taught.mix(clean, noise, levels)
    assert torch.allclose(taught.clean(x, levels, taught.target(clean, noise, levels)), clean, atol=1e-3)
