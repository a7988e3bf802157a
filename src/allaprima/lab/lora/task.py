"""The loss of a LoRA: what the base predicts of a noisy picture, against what it was trained to predict.

Of the base only its contract is asked. Noise levels and times are those of its own schedule; how picture and noise
mix, and what is predicted, follow from the schedule's kind and the base's prediction
(:mod:`allaprima.paint.sampling.process`). So levels are drawn as often as the base visits them when it paints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from allaprima.core.errors import RequestError
from allaprima.lab.lora.dataset import TrainingSet
from allaprima.lab.lora.sheet import Sheet
from allaprima.lab.lora.trainable_lora import Adaptable, TrainableLora, hang
from allaprima.lab.training.loop import Draw
from allaprima.paint.contract.base import Base
from allaprima.paint.contract.schedule import Schedule
from allaprima.paint.sampling.process import Process, process_of

LEVELS = 500
"""Steps of the schedule whose levels are trained at."""


def training_levels(base: Base, size: tuple[int, int]) -> Schedule:
    """Return the noise levels to train at: those of a long schedule, or a base's few where it has no long one."""
    try:
        return base.schedule(LEVELS, *size).without_solver()
    except RequestError:
        return base.schedule(base.defaults.steps, *size).without_solver()


@dataclass(kw_only=True)
class LoraTask:
    """A LoRA's denoising loss on a set of pictures; the LoRA learns while it is `hung`."""

    base: Base
    lora: TrainableLora
    layers: Mapping[str, Adaptable]
    """Where the LoRA learns."""
    pictures: TrainingSet
    size: tuple[int, int]
    """Width and height in pixels."""
    empty_share: float
    """How often the caption is dropped, for guidance."""
    seed: int
    sheet: Sheet | None = None
    """What the samples are; None paints none."""

    @cached_property
    def levels(self) -> Schedule:
        """The noise levels, and the times at them."""
        return training_levels(self.base, self.size)

    @cached_property
    def process(self) -> Process:
        """How the base mixes picture and noise."""
        return process_of(self.levels.kind, self.base.prediction)

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Add the LoRA's part to the base's layers, for a while."""
        self._hooks = hang(self.lora, self.layers)
        try:
            yield
        finally:
            self._hooks.close()

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the squared error of the prediction."""
        clean, text = self.pictures.batch(draw, seed=self.seed, empty_share=self.empty_share)
        index = (draw.uniform() * len(self.levels)).long()
        level = torch.tensor(self.levels.sigmas)[index].to(draw.device)
        time = torch.tensor(self.levels.times)[index].to(draw.device)
        noise = draw.noise(*clean.shape[1:])
        noisy = self.process.network_input(self.process.mix(clean, noise, level), level)
        predicted = model(self.base, noisy, time, text)
        return {"loss": functional.mse_loss(predicted, self.process.target(clean, noise, level))}

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Paint the sheet's pictures with the LoRA as it is, if there is a sheet."""
        if self.sheet is None:
            return
        assert isinstance(model, TrainableLora)
        self._hooks.close()  # the sheet is painted as everybody paints with a LoRA
        self.sheet.paint(self.base, model.updates(), folder, step)
        self._hooks = hang(self.lora, self.layers)
