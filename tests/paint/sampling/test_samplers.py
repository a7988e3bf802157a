"""Samplers, on models whose right answer is known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from allaprima.core.errors import PaintError
from allaprima.paint.contract.schedule import Schedule, flow_schedule, flow_sigmas
from allaprima.paint.sampling.noise import seeded_noise
from allaprima.paint.sampling.samplers import Model, SamplerStep, sample_steps

PICTURE = torch.linspace(-1, 1, 4 * 2 * 2).view(1, 4, 2, 2)
LEVELS = (14.6, 5.0, 1.0, 0.1)
SCHEDULE = Schedule(
    sigmas=(*LEVELS, 0.0), times=(900.0, 600.0, 300.0, 100.0), kind="variance_exploding", noise_scale=14.6
)
LEVEL_AT = dict(zip(SCHEDULE.times, LEVELS, strict=True))
RULES = ["euler", "ancestral", "lcm"]


def knows_the_picture(prediction: str) -> Model:
    """Return a model that finds the noise exactly, whatever it is shown."""

    def model(shown: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        sigma = LEVEL_AT[float(t[0])]
        norm = math.hypot(sigma, 1.0)
        noise = (shown * norm - PICTURE) / sigma
        # v = alpha eps - sigma x_0 in the mixture of variance 1, where alpha is 1 / norm.
        return noise if prediction == "epsilon" else noise / norm - (sigma / norm) * PICTURE

    return model


def last(model: Model, rule: str, seeds: Sequence[int], prediction: str = "epsilon") -> torch.Tensor:
    noise = seeded_noise(seeds, PICTURE.shape[1:])
    schedule = replace(SCHEDULE, sampler=rule)
    assert prediction in ("epsilon", "v")
    steps = list(sample_steps(model, noise, schedule, "v" if prediction == "v" else "epsilon", seeds))
    assert [step.index for step in steps] == [1, 2, 3, 4]
    return steps[-1].latents


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_a_model_that_knows_the_picture_paints_it(rule: str, prediction: str) -> None:
    assert torch.allclose(last(knows_the_picture(prediction), rule, [1], prediction), PICTURE, atol=1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_the_model_is_shown_latents_of_variance_one(rule: str) -> None:
    shown: list[float] = []
    shape = (4, 64, 64)

    def blank(latents: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        shown.append(latents.std().item())
        sigma = LEVEL_AT[float(t[0])]
        return latents * math.hypot(sigma, 1.0) / sigma  # the picture is black, all else is noise

    list(sample_steps(blank, seeded_noise([1], shape), replace(SCHEDULE, sampler=rule), "epsilon", [1]))
    # A black picture has variance 0, so what is shown has sigma^2 / (sigma^2 + 1).
    assert shown == pytest.approx([(sigma**2 / (sigma**2 + 1)) ** 0.5 for sigma in LEVELS], rel=0.02)


@pytest.mark.parametrize("rule", RULES)
def test_a_row_does_not_depend_on_its_company(rule: str) -> None:
    def timid(latents: torch.Tensor, _t: torch.Tensor) -> torch.Tensor:
        return latents * 0.9  # leaves something of the fresh noise in the end

    together = last(timid, rule, [5, 6])
    assert torch.equal(together[1:], last(timid, rule, [6]))
    assert not torch.equal(together[:1], together[1:])


def test_a_rule_or_prediction_that_does_not_fit_is_refused() -> None:
    noise, model = seeded_noise([1], (4, 2, 2)), knows_the_picture("epsilon")
    with pytest.raises(
        PaintError, match="got the sampler 'heun' for a variance_exploding schedule; expected euler"
    ):
        sample_steps(model, noise, replace(SCHEDULE, sampler="heun"), "epsilon", [1])
    with pytest.raises(
        PaintError, match="predicts flow, which a schedule of kind variance_exploding cannot follow"
    ):
        sample_steps(model, noise, SCHEDULE, "flow", [1])


X = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def flow_steps(model: Model, x: torch.Tensor, sigmas: Sequence[float]) -> Iterator[SamplerStep]:
    return sample_steps(model, x, flow_schedule(sigmas), "flow", range(len(x)))


def end_of_flow(model: Model, x: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    return list(flow_steps(model, x, sigmas))[-1].latents


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_a_constant_velocity_integrates_to_the_known_picture(steps: int) -> None:
    picture = torch.full_like(X, 0.25)
    end = end_of_flow(lambda *_: X - picture, X, flow_sigmas(steps, 3.0))
    torch.testing.assert_close(end, picture, atol=1e-5, rtol=0)


def test_the_exact_velocity_is_followed_exactly_and_previews_the_end() -> None:
    picture = torch.linspace(-1, 1, 16).reshape(4, 4).expand_as(X)

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        assert t.shape == (2,)
        return (x - picture) / t[:, None, None, None]

    seen = list(flow_steps(velocity, X, flow_sigmas(9)))
    torch.testing.assert_close(seen[-1].latents, picture, atol=1e-5, rtol=0)
    assert [step.index for step in seen] == list(range(1, 10))
    for step in seen:
        torch.testing.assert_close(step.clean, picture, atol=1e-5, rtol=0)


def test_the_steps_are_those_of_diffusers() -> None:
    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.sin(x) + t[:, None, None, None]

    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    sigmas = flow_sigmas(10, 3.0)
    scheduler.set_timesteps(sigmas=sigmas[:-1])
    x = X
    for sigma, timestep in zip(sigmas, scheduler.timesteps, strict=False):
        x = scheduler.step(velocity(x, torch.full((2,), sigma)), timestep, x, return_dict=False)[0]
    torch.testing.assert_close(end_of_flow(velocity, X, sigmas), x, atol=1e-5, rtol=0)


def test_latents_stay_in_float32_and_the_start_is_not_changed() -> None:
    start = X.bfloat16()
    kept = start.clone()
    end = end_of_flow(lambda x, _: x.bfloat16(), start, flow_sigmas(3))
    assert end.dtype == torch.float32
    assert torch.equal(start, kept)


def test_no_step_is_taken_that_nobody_asks_for() -> None:
    calls: list[float] = []

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        calls.append(float(t[0]))
        return x

    steps = flow_steps(velocity, X, flow_sigmas(50))
    next(steps)
    next(steps)
    assert len(calls) == 2
