"""Noise levels of discrete times, and the times to visit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from allaprima.paint.sampling.discrete_schedule import (
    BetaCurve,
    Betas,
    curved_sigmas,
    lcm_times,
    sigmas_of,
    spaced_times,
)


def test_steps_that_cannot_be_taken_are_refused() -> None:
    for steps in (0, 1001):
        with pytest.raises(ValueError, match=f"got {steps} steps; expected 1 to 1000"):
            spaced_times(steps, "trailing")
    with pytest.raises(ValueError, match="expected fewer"):
        spaced_times(1000, "leading", offset=1)
    with pytest.raises(ValueError, match="expected 1 to 50"):
        lcm_times(51)


def test_trailing_gives_as_many_times_as_asked_for() -> None:
    for steps in range(1, 200):
        assert len(spaced_times(steps, "trailing")) == steps


def test_a_curve_keeps_its_ends() -> None:
    levels = [14.6, 3.0, 1.0, 0.03]
    for curve in ("karras", "exponential"):
        curved = curved_sigmas(levels, curve)
        assert (curved[0], curved[-1]) == pytest.approx((14.6, 0.03))
        assert curved == sorted(curved, reverse=True)
    assert curved_sigmas(levels, "as_trained") == levels


def test_zero_terminal_rescaling_ends_in_noise() -> None:
    levels = sigmas_of(
        Betas(curve="scaled_linear", start=0.00085, end=0.012, zero_terminal=True).alphas().numpy()
    )
    assert levels[-1] == pytest.approx(4096, rel=1e-3)
    assert np.all(np.diff(levels) > 0)


@pytest.mark.parametrize("curve", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_alphas_are_those_of_diffusers_and_the_same_in_wider_numbers(curve: BetaCurve) -> None:
    betas = Betas(curve=curve, start=0.00085, end=0.012)
    stock = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule=curve)
    assert torch.equal(betas.alphas(), stock.alphas_cumprod)
    assert torch.allclose(betas.alphas(torch.float64).float(), stock.alphas_cumprod, rtol=1e-4)
    listed = Betas(listed=tuple(stock.betas.tolist()))
    assert torch.equal(listed.alphas(), stock.alphas_cumprod)
