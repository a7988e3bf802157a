"""A line that is learned in no time."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from allaprima.lab.training.loop import Draw, LoopConfig


class Line:
    """Fit y = A x from random x: the smallest real task."""

    target = torch.arange(12.0).view(3, 4) / 10

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Mean squared error on fresh inputs."""
        x = draw.normal(4).to(draw.device)
        return {"loss": (model(x) - x @ self.target.T).square().mean()}

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Write the weights, in the place of a picture."""
        (folder / f"sample-{step}.txt").write_text(str(model.state_dict()))


def config(folder: Path, steps: int, **more: object) -> LoopConfig:
    """A short training."""
    settings: dict[str, object] = {
        "save_every": 5,
        "log_every": 5,
        "warmup_steps": 2,
        "ema_decay": 0.9,
        **more,
    }
    return LoopConfig(folder=folder, steps=steps, batch_size=8, learning_rate=0.05, **settings)  # type: ignore[arg-type]


def fresh() -> nn.Module:
    """The same new model every time."""
    torch.manual_seed(3)
    return nn.Linear(4, 3)
