"""What all trainings with the one loop ask: where to, how long and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.cli.output import parse_duration, print_json

if TYPE_CHECKING:
    from torch import nn

    from allaprima.lab.training.loop import Task, TurnTask

Run = Annotated[Path, typer.Argument(help="Folder of the training: checkpoint, log and samples.")]
Updates = Annotated[int, typer.Option(min=1, help="Updates in all, those before a resume counted in.")]
Batch = Annotated[int, typer.Option(min=1, help="Samples per update.")]
Rate = Annotated[float, typer.Option(min=0.0, help="Learning rate after warm-up.")]
Decay = Annotated[int, typer.Option(min=0, help="The last so many updates bring the rate down to zero.")]
Budget = Annotated[
    float | None,
    typer.Option(
        parser=parse_duration,
        metavar="TIME",
        help="Stop after so long, such as 30m, 2h or 90s, earlier runs counted in; the decay ends there.",
    ),
]
SaveEvery = Annotated[int, typer.Option(min=1, help="Updates between checkpoints.")]
SampleEvery = Annotated[int, typer.Option(min=0, help="Updates between sample grids; 0 for none.")]
TrainingSeed = Annotated[int, typer.Option(min=0, max=2**20 - 1, help="Of weights, order and noise.")]
Threads = Annotated[int, typer.Option(min=0, max=1024, help="Processor threads; 0 leaves it to torch.")]


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """How long a training goes, and how fast; see `LoopConfig`."""

    steps: Updates = 4000
    batch: Batch = 32
    rate: Rate = 1e-3
    decay: Decay = 0
    budget: Budget = None
    save_every: SaveEvery = 200
    sample_every: SampleEvery = 500
    seed: TrainingSeed = 0
    threads: Threads = 0

    def train(
        self, model: nn.Module, task: Task | TurnTask, folder: Path, json_: bool, **settings: Any
    ) -> None:
        """Train `model` in `folder` and say what came of it; `settings` are further ones of the loop."""
        from allaprima.lab.training.loop import LoopConfig, train

        config = LoopConfig(
            folder=folder, steps=self.steps, batch_size=self.batch, learning_rate=self.rate, decay_steps=self.decay,
            budget_s=self.budget, save_every=self.save_every, sample_every=self.sample_every, seed=self.seed,
            **settings,
        )  # fmt: skip
        train(model, task, config)
        report({"run": str(folder), "steps": config.steps}, json_)


def prepare(seed: int, threads: int) -> None:
    """Set the seed, the threads, and what makes a training quick."""
    import torch

    from allaprima.paint.device.core_watch import watch_cores

    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = True  # every batch has the same shape
    torch.set_float32_matmul_precision("high")
    if threads:
        torch.set_num_threads(threads)
    watch_cores()


def report(facts: dict[str, Any], json_: bool) -> None:
    """Say what came of it."""
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    if json_:
        print_json(facts)
