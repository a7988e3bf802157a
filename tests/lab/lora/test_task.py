"""The loss on every family by its own prediction: what it is, that it falls, and which levels it is asked at."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.lab.lora.tiny import CPU, SIZES, base_of, captioned
from tests.tiny import SteadyBase
from tests.tiny_sdxl import Kind, write_tiny_sdxl

from allaprima.lab.lora.dataset import TrainingSet, encode_captions, training_set
from allaprima.lab.lora.task import LEVELS, LoraTask, training_levels
from allaprima.lab.lora.trainable_lora import TrainableLora, denoiser_of, find_layers
from allaprima.lab.training.loop import Draw
from allaprima.paint.bases.loading import load_base
from allaprima.paint.contract.base import Base, TextStates


def draw(step: int = 0, batch: int = 4) -> Draw:
    generator = torch.Generator().manual_seed(step)
    return Draw(step=step, batch_size=batch, device=CPU, generator=generator)


def task_on(base: Base, pictures: TrainingSet, size: tuple[int, int]) -> LoraTask:
    layers = find_layers(denoiser_of(base)[1], "all") if base.modules() else {}
    lora = TrainableLora(layers, dict.fromkeys(layers, 4))
    return LoraTask(
        base=base, lora=lora, layers=layers, pictures=pictures, size=size, empty_share=0.1, seed=0
    )


class Knowing(SteadyBase):
    """A base that takes every picture to be black, and so knows its noise."""

    def predict(self, latents: torch.Tensor, t: torch.Tensor, text: TextStates) -> torch.Tensor:
        del text
        return latents / t[:, None, None, None]


def test_a_base_that_knows_the_noise_has_nothing_to_learn() -> None:
    base = Knowing()
    texts, caption = encode_captions(base, ["a cat", "a dog"])
    known = TrainingSet(latents=torch.zeros(2, 1, 3, 8, 16), texts=texts, caption=caption)
    task = task_on(base, known, (128, 64))
    assert float(task.loss(task.lora, draw())["loss"]) == pytest.approx(0, abs=1e-9)
    unknown = TrainingSet(latents=torch.ones(2, 1, 3, 8, 16), texts=texts, caption=caption)
    assert float(task_on(base, unknown, (128, 64)).loss(task.lora, draw())["loss"]) > 0.5


@pytest.mark.parametrize("name", list(SIZES))
def test_the_matrices_learn_a_batch_and_the_base_stays(name: str, tmp_path: Path) -> None:
    base = base_of(name, tmp_path)
    size = SIZES[name]
    task = task_on(
        base,
        training_set(base, captioned(tmp_path / "pictures"), size, windows=0, flip=False, seed=0),
        size,
    )
    _, denoiser = denoiser_of(base)
    denoiser.requires_grad_(False)
    before = {name: weight.clone() for name, weight in denoiser.state_dict().items()}
    optimizer = torch.optim.AdamW(task.lora.parameters(), lr=1e-2)
    losses = []
    with task.hung():
        for _ in range(12):
            loss = task.loss(task.lora, draw())["loss"]
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
    assert losses[-1] < 0.95 * losses[0]
    assert all(torch.equal(weight, before[name]) for name, weight in denoiser.state_dict().items())


@pytest.mark.parametrize("name", ["qwen-image", "sdxl"])
def test_blocks_that_are_computed_again_give_the_same_gradients(name: str, tmp_path: Path) -> None:
    base = base_of(name, tmp_path)
    pictures = training_set(
        base, captioned(tmp_path / "pictures"), SIZES[name], windows=0, flip=False, seed=0
    )
    task = task_on(base, pictures, SIZES[name])
    gradients = []
    with task.hung():
        for again in (False, True):
            if again:
                denoiser_of(base)[1].enable_gradient_checkpointing()  # type: ignore[operator]
            task.lora.zero_grad()
            task.loss(task.lora, draw())["loss"].backward()  # type: ignore[no-untyped-call]
            gradients.append([one.grad.clone() for one in task.lora.up if one.grad is not None])
    assert gradients[0]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(("kind", "levels"), [("base", LEVELS), ("turbo", LEVELS), ("lcm", 4)])
def test_levels_are_the_schedules_or_the_few_that_a_base_knows(
    kind: Kind, levels: int, tmp_path: Path
) -> None:
    base = load_base(str(write_tiny_sdxl(tmp_path / kind, kind)), device=CPU, dtype=torch.float32)
    schedule = training_levels(base, (64, 64))
    assert len(schedule) == levels
    assert schedule.solver is None


def test_a_solvers_levels_are_trained_at_without_it(tmp_path: Path) -> None:
    path = write_tiny_sdxl(tmp_path / "karras", scheduler={"use_karras_sigmas": True})
    base = load_base(str(path), device=CPU, dtype=torch.float32)
    assert len(training_levels(base, (64, 64))) == LEVELS
