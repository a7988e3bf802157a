"""The one training loop: any model, any loss, CPU or CUDA, one device or several.

    train(model, task, LoopConfig(folder=..., steps=10_000, batch_size=32, learning_rate=1e-3))

Everything random in step n comes from a generator seeded by (seed, n), and batches are a function of the step.
A checkpoint is therefore weights, averages, optimizer and a step number, and going on from one gives the same
bits as never having stopped. On several devices (`torchrun`, `accelerate launch`) each takes its rows of the batch.

A folder holds `checkpoint.safetensors`, `log.jsonl` (one line per `log_every` steps), `config.json` and whatever
`task.sample` draws.
"""

from __future__ import annotations

import json
import math
import time
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from rich.progress import Progress
from torch import Tensor, nn

from allaprima.lab.progress import progress_bar
from allaprima.lab.training.checkpoint import (
    flatten_optimizer,
    of_prefix,
    read_tensors,
    restore_optimizer,
    with_prefix,
    write_tensors,
)
from allaprima.paint.precision import pick_dtype


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long, how fast and where to."""

    folder: Path
    steps: int
    """Updates in all, those before a resume counted in."""
    batch_size: int
    """Samples per update over all processes."""
    learning_rate: float
    warmup_steps: int = 200
    decay_steps: int = 0
    """The last so many steps go linearly to a rate of zero; before them the rate is constant."""
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    log_every: int = 20
    save_every: int = 200
    sample_every: int = 0
    """Steps between calls of `task.sample`; 0 draws none."""
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Warm-up, constant, linear decay: the learning rate of update `step` (from 0)."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        cold = min(1.0, (self.steps - step) / self.decay_steps) if self.decay_steps else 1.0
        return self.learning_rate * warm * cold


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One update's randomness, and which rows of its batch are this process's.

    Every process draws the numbers of the whole batch and keeps its own rows, so a training on several devices
    sees what it would see on one.
    """

    step: int
    batch_size: int
    """Samples of this update over all processes."""
    device: torch.device
    generator: torch.Generator
    """On the CPU, so that every kind of device sees the same numbers."""
    rank: int = 0
    processes: int = 1

    @property
    def rows(self) -> slice:
        """This process's rows of the batch."""
        share = self.batch_size // self.processes
        return slice(self.rank * share, (self.rank + 1) * share)

    def uniform(self, *shape: int) -> Tensor:
        """This process's rows of (batch_size, *shape) numbers in [0, 1), on the CPU."""
        return torch.rand((self.batch_size, *shape), generator=self.generator)[self.rows]

    def normal(self, *shape: int) -> Tensor:
        """This process's rows of (batch_size, *shape) standard normal numbers, on the CPU."""
        return torch.randn((self.batch_size, *shape), generator=self.generator)[self.rows]


class Task(Protocol):
    """What is learned: a loss, and pictures to look at."""

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return named scalars; `"loss"` is minimised, the others are logged."""

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Draw something to look at with the averaged weights into `folder`."""


def train(model: nn.Module, task: Task, config: LoopConfig, *, resume: bool = True) -> nn.Module:
    """Train `model` in place up to `config.steps` and return a copy with averaged weights.

    With `resume`, a checkpoint in the folder is gone on from; without, it is an error to find one.

    Raises:
        FileExistsError: `resume` is False and the folder holds a checkpoint.
        ValueError: the batch cannot be shared evenly among the processes.
    """
    # A denoiser's last text layers lead nowhere and so have no gradient; several processes must be told.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(mixed_precision=_mixed_precision(), kwargs_handlers=[unused])
    if config.batch_size % accelerator.num_processes:
        raise ValueError(
            f"got a batch of {config.batch_size} for {accelerator.num_processes} processes; expected a multiple"
        )
    optimizer = torch.optim.AdamW(
        _decayed(model, config.weight_decay), lr=config.learning_rate, betas=config.betas, fused=True
    )
    average = _copy(model)
    path = config.folder / "checkpoint.safetensors"
    if path.exists() and not resume:
        raise FileExistsError(f"{path} exists; resume from it, or choose another folder")
    start = load_checkpoint(path, model, average, optimizer) if path.exists() else 0
    average.to(accelerator.device)
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    log = _Log(config, accelerator.is_main_process)
    with progress_bar("samples") as bar:
        counter = bar.add_task(
            "training", total=config.steps * config.batch_size, completed=start * config.batch_size
        )
        for step in range(start, config.steps):
            values = _update(accelerator, wrapped, optimizer, task, config, step)
            _average(average, model, min(config.ema_decay, (step + 1) / (step + 10)))
            log.note(step, values, bar)
            bar.advance(counter, config.batch_size)
            done = step + 1
            if accelerator.is_main_process and (done % config.save_every == 0 or done == config.steps):
                save_checkpoint(path, model, average, optimizer, done)
            if accelerator.is_main_process and config.sample_every and done % config.sample_every == 0:
                task.sample(average, config.folder, done)
    return average


def save_checkpoint(
    path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Write all that :func:`load_checkpoint` needs."""
    tensors = {
        **with_prefix("model", model.state_dict()),
        **with_prefix("average", average.state_dict()),
        **with_prefix("optimizer", flatten_optimizer(optimizer)),
    }
    write_tensors(path, tensors, {"step": str(step)})


def load_checkpoint(
    path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> int:
    """Restore a training from `path` and return the number of updates it has behind it."""
    tensors, metadata = read_tensors(path)
    model.load_state_dict(of_prefix("model", tensors))
    average.load_state_dict(of_prefix("average", tensors))
    restore_optimizer(optimizer, of_prefix("optimizer", tensors))
    return int(metadata["step"])


def _update(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    task: Task,
    config: LoopConfig,
    step: int,
) -> dict[str, Tensor]:
    for group in optimizer.param_groups:
        group["lr"] = config.rate_at(step)
    draw = Draw(
        step=step,
        batch_size=config.batch_size,
        device=accelerator.device,
        generator=torch.Generator().manual_seed((config.seed << 40) + step),
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
    )
    with accelerator.autocast():
        values = task.loss(model, draw)
    accelerator.backward(values["loss"])
    norm = accelerator.clip_grad_norm_(model.parameters(), config.clip_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {**values, "gradient_norm": torch.as_tensor(norm)}


def _mixed_precision() -> str:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return "bf16" if pick_dtype(device) == torch.bfloat16 else "no"


def _decayed(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Matrices decay, vectors (norms, biases) do not."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _copy(model: nn.Module) -> nn.Module:
    return deepcopy(model).requires_grad_(False).eval()


@torch.no_grad()
def _average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the average towards the model; buffers (running statistics) are taken as they are."""
    kept: list[Tensor] = list(average.parameters())
    new: list[Tensor] = list(model.parameters())
    torch._foreach_lerp_(kept, new, 1.0 - decay)
    for mine, theirs in zip(average.buffers(), model.buffers(), strict=True):
        mine.copy_(theirs)


class _Log:
    """Lines of JSON in the folder and the last loss on the bar."""

    def __init__(self, config: LoopConfig, main: bool) -> None:
        self.config, self.main = config, main
        self.since, self.steps = time.perf_counter(), 0
        self.sums: dict[str, Tensor] = {}
        if main:
            config.folder.mkdir(parents=True, exist_ok=True)
            (config.folder / "config.json").write_text(json.dumps(asdict(config), default=str, indent=1))

    def note(self, step: int, values: dict[str, Tensor], bar: Progress) -> None:
        """Add one step's values; write their means when a line is due."""
        self.steps += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, torch.zeros(())) + value.detach().float().cpu()
        if (step + 1) % self.config.log_every or not self.main:
            return
        means = {name: float(value) / self.steps for name, value in self.sums.items()}
        if not math.isfinite(means["loss"]):
            raise FloatingPointError(f"loss is {means['loss']} at step {step + 1}; lower the learning rate")
        seconds = time.perf_counter() - self.since
        line = {
            "step": step + 1,
            **{name: round(value, 6) for name, value in means.items()},
            "rate": self.config.rate_at(step),
            "samples_per_second": round(self.steps * self.config.batch_size / seconds, 2),
        }
        with (self.config.folder / "log.jsonl").open("a") as lines:
            lines.write(json.dumps(line) + "\n")
        bar.update(bar.task_ids[0], description=f"loss {means['loss']:.4f}")
        self.since, self.steps, self.sums = time.perf_counter(), 0, {}
