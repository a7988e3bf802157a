from __future__ import annotations

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from allaprima.paint.contract.schedule import flow_sigmas
from allaprima.paint.sampling.euler import SamplerStep, euler_steps, sample_euler

X = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_a_constant_velocity_integrates_to_the_known_picture(steps: int) -> None:
    picture = torch.full_like(X, 0.25)
    end = sample_euler(lambda *_: X - picture, X, flow_sigmas(steps, 3.0))
    torch.testing.assert_close(end, picture, atol=1e-5, rtol=0)


def test_the_exact_velocity_is_followed_exactly_and_previews_the_end() -> None:
    picture = torch.linspace(-1, 1, 16).reshape(4, 4).expand_as(X)

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        assert t.shape == (2,)
        return (x - picture) / t[:, None, None, None]

    seen: list[SamplerStep] = []
    end = sample_euler(velocity, X, flow_sigmas(9), on_step=seen.append)
    torch.testing.assert_close(end, picture, atol=1e-5, rtol=0)
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
    torch.testing.assert_close(sample_euler(velocity, X, sigmas), x, atol=1e-5, rtol=0)


def test_latents_stay_in_float32_and_the_start_is_not_changed() -> None:
    start = X.bfloat16()
    kept = start.clone()
    end = sample_euler(lambda x, _: x.bfloat16(), start, flow_sigmas(3))
    assert end.dtype == torch.float32
    assert torch.equal(start, kept)


def test_no_step_is_taken_that_nobody_asks_for() -> None:
    calls: list[float] = []

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        calls.append(float(t[0]))
        return x

    steps = euler_steps(velocity, X, flow_sigmas(50))
    next(steps)
    next(steps)
    assert len(calls) == 2


def test_no_steps_leave_the_latents_alone() -> None:
    assert torch.equal(sample_euler(lambda x, _: x, X, [1.0]), X)
