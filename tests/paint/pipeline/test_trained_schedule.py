"""A student's file makes the painter walk the way it was trained on; nonsense in it is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.lab.distill.tiny import (
    SHAPES,
)
from torch import Tensor

from allaprima.core.errors import LoraError
from allaprima.lab.distill.rollout import StudentSampler, walk
from allaprima.paint.contract.schedule import Schedule, flow_schedule, flow_sigmas
from allaprima.paint.lora.files.metadata import LoraMetadata, read_metadata, stored_metadata
from allaprima.paint.pipeline.trained_schedule import trained_schedule
from allaprima.paint.sampling.noise import noise_stream
from allaprima.paint.sampling.process import Flow, TrainingProcess, VariancePreserving
from allaprima.paint.sampling.samplers import sample_steps

SEEDS = (3, 4)


EXPLODING = Schedule(
    sigmas=(14.6, 9.0, 4.0, 1.0, 0.0), times=(999.0, 800.0, 500.0, 200.0), kind="variance_exploding"
)


def saved(process: TrainingProcess, sampler: StudentSampler, steps: int = 4) -> LoraMetadata:
    """What `lora_file` writes, through the file's strings and back."""
    metadata = LoraMetadata(
        sigmas=process.sigmas(steps),
        times=process.timesteps(steps)[:-1],
        sampler=sampler,
        steps=steps,
    )
    return read_metadata(stored_metadata(metadata, title="student", ranks={}))


def answer(x: Tensor, t: Tensor) -> Tensor:
    """Something crooked, so that every level and every time leaves its mark."""
    share = (t / t.max().clamp(min=1.0)).reshape(-1, 1, 1, 1)
    return torch.sin(3.0 * x) * 0.5 + share * x


@pytest.mark.parametrize("sampler", ["euler", "lcm"])
@pytest.mark.parametrize(
    "process", [Flow(shift=3.0), VariancePreserving()], ids=["flow", "variance-preserving"]
)
def test_the_painter_walks_the_students_way(process: TrainingProcess, sampler: StudentSampler) -> None:
    flow = isinstance(process, Flow)
    own = flow_schedule(flow_sigmas(4, 1.5)) if flow else EXPLODING
    stream = noise_stream(SEEDS, SHAPES["vignette"])
    noise = next(stream)
    *_, trained = walk(process, answer, noise, process.timesteps(4), sampler, lambda: next(stream))
    schedule = trained_schedule(own, [LoraMetadata(), saved(process, sampler)])
    *_, last = sample_steps(answer, noise, schedule, "flow" if flow else "epsilon", SEEDS)
    assert torch.allclose(last.latents, trained, atol=2e-4, rtol=1e-4)
    *_, other = sample_steps(answer, noise, own, "flow" if flow else "epsilon", SEEDS)
    assert not torch.allclose(other.latents, trained, atol=0.05)


def test_at_other_steps_the_levels_are_the_bases_own_and_the_rule_the_loras() -> None:
    own = flow_schedule(flow_sigmas(2, 1.5))
    schedule = trained_schedule(own, [saved(Flow(), "lcm")])
    assert (schedule.sigmas, schedule.times, schedule.sampler) == (own.sigmas, own.times, "lcm")
    assert trained_schedule(own, [LoraMetadata(steps=2)]) is own
    assert trained_schedule(own, []) is own


def test_levels_without_the_models_times_are_refused_where_a_time_is_not_a_level() -> None:
    with pytest.raises(LoraError, match="expected allaprima"):
        trained_schedule(EXPLODING, [LoraMetadata(sigmas=(0.9, 0.7, 0.5, 0.3, 0.0))])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"sigmas": "[1.0, 0.5]"}, "numbers that fall"),
        ({"sigmas": "[0.5, 0.7, 0.0]"}, "numbers that fall"),
        ({"sigmas": "[0.0]"}, "numbers that fall"),
        ({"sigmas": "[1.0, 0.0]", "times": "[1, 2]"}, "a time from 0 to 1000 for each level"),
        ({"sigmas": "[1.0, 0.0]", "times": '["x"]'}, "a time from 0 to 1000 for each level"),
        ({"times": "[1.0]"}, "a time from 0 to 1000 for each level"),
        ({"sampler": "heun"}, "expected euler or lcm"),
    ],
)
def test_files_that_say_nonsense_are_refused(raw: dict[str, Any], expected: str) -> None:
    with pytest.raises(LoraError, match=expected):
        read_metadata({f"allaprima.{key}": value for key, value in raw.items()})
