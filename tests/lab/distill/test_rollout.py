"""The way from noise to picture: by either sampler a network that knows the picture arrives at it."""

from __future__ import annotations

import pytest
import torch

from allaprima.lab.distill.rollout import at, rollout, walk
from allaprima.paint.sampling.process import Flow, TrainingProcess, VariancePreserving


def some(*shape: int) -> torch.Tensor:
    """Return numbers that do not change."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "process", [Flow(shift=2.0), Flow(shift=3.0), VariancePreserving()], ids=["vignette", "qwen", "sdxl"]
)
def test_a_network_that_knows_the_picture_arrives_at_it_in_any_steps(process: TrainingProcess) -> None:
    clean = some(2, 2, 3, 3)

    def answer(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return process.prediction(x, t, clean)

    start = process.mix(clean, some(2, 2, 3, 3).flip(1), at(process.timesteps(1)[0], clean))
    for steps in (1, 4, 12):
        assert torch.allclose(rollout(process, answer, start, process.timesteps(steps)), clean, atol=2e-3)
        found = rollout(process, answer, start, process.timesteps(steps), "lcm", lambda: some(2, 2, 3, 3))
        assert torch.allclose(found, clean, atol=2e-3)


def test_fresh_noise_must_come_from_somewhere() -> None:
    x, process = some(1, 2, 3, 3), Flow()
    with pytest.raises(ValueError, match="expected a source of it"):
        list(walk(process, lambda x, _: x, x, process.timesteps(2), "lcm"))
