"""Rules for variance-exploding latents, on models whose right answer is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from allaprima.core.errors import PaintError
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.sampling.euler import Model
from allaprima.paint.sampling.noise import noise_stream, seeded_noise
from allaprima.paint.sampling.samplers import sample_steps

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


def test_the_stream_goes_on_as_one_generator_does() -> None:
    stream = noise_stream([5, 6], (4, 8, 8))
    drawn = [next(stream) for _ in range(3)]
    assert torch.equal(drawn[0], seeded_noise([5, 6], (4, 8, 8)))
    generator = torch.Generator().manual_seed(6)
    for noise in drawn:
        assert torch.equal(noise[1:], torch.randn(1, 4, 8, 8, generator=generator))


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
