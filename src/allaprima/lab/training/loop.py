"""The one training loop: any model, any loss, CPU or CUDA, one device or several.

    train(model, task, LoopConfig(folder=..., steps=10_000, batch_size=32, learning_rate=1e-3))

Everything random in step n comes from a generator seeded by (seed, n), and batches are a function of the step.
A checkpoint is therefore weights, averages, optimizer and a step number, and going on from one gives the same
bits as never having stopped. On several devices (`torchrun`, `accelerate launch`) each takes its rows of the batch.

Parameters that want no gradient are neither averaged nor written: a LoRA's checkpoint is as small as the LoRA, and
the average shares the frozen network with the model. Where opponents learn in turn, as a painter and its critic,
the task has :class:`Turn` s, each with an optimizer of its own.

A folder holds `checkpoint.safetensors`, `log.jsonl` (one line per `log_every` steps), `config.json` and whatever
`task.sample` draws.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast
from torch import Tensor, nn

from allaprima.core.progress import progress_bar
from allaprima.lab.training.checkpoint import load_checkpoint, save_checkpoint
from allaprima.lab.training.log import Clock, Log, require_finite_loss
from allaprima.paint.device.precision import pick_dtype


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
    """Steps between calls of `task.sample`, the last step among them; 0 draws none."""
    budget_s: float | None = None
    """Stop, with a checkpoint, when the training has taken so long, the time before a resume counted in. The decay
    then ends where the budget will, so the rates, and with them the bits, depend on the machine's speed."""
    seed: int = 0

    def rate_at(self, step: int, steps: int | None = None) -> float:
        """Return the rate of update `step` (from 0) of `steps` (None: all): warm-up, constant, linear decay."""
        left = (self.steps if steps is None else steps) - step
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        cold = min(1.0, max(1, left) / self.decay_steps) if self.decay_steps else 1.0
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
    noise_generator: torch.Generator | None = None
    """On the device, for numbers too many to be drawn elsewhere and sent there; None: the other one."""
    rank: int = 0
    processes: int = 1

    @property
    def rows(self) -> slice:
        """This process's rows of the batch."""
        share = self.batch_size // self.processes
        return slice(self.rank * share, (self.rank + 1) * share)

    def uniform(self, *shape: int) -> Tensor:
        """Return this process's rows of (batch_size, *shape) numbers in [0, 1), on the CPU."""
        return torch.rand((self.batch_size, *shape), generator=self.generator)[self.rows]

    def normal(self, *shape: int) -> Tensor:
        """Return this process's rows of (batch_size, *shape) standard normal numbers, on the CPU."""
        return torch.randn((self.batch_size, *shape), generator=self.generator)[self.rows]

    def noise(self, *shape: int) -> Tensor:
        """Draw as `normal` does, but where the numbers are used; each kind of device has numbers of its own."""
        generator = self.noise_generator or self.generator
        return torch.randn((self.batch_size, *shape), generator=generator, device=generator.device)[self.rows]


def seed_of(seed: int, step: int) -> int:
    """Return the seed of a generator for one step of the training of one seed.

    torch's generators on processors read no more than 32 bits, so both are mixed into these (O'Neill's seed sequence,
    as numpy has it): shifted beside each other, all seeds would draw alike.
    """
    return int(np.random.SeedSequence((seed, step)).generate_state(1)[0])


class Task(Protocol):
    """What is learned: a loss, and pictures to look at."""

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return named scalars; `"loss"` is minimised, the others are logged."""

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Draw something to look at with the averaged weights into `folder`."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one of several opponents does in an update."""

    name: str
    """Its optimizer's name in the checkpoint."""
    parameters: tuple[nn.Parameter, ...]
    """What moves; nothing else of the model gets a gradient."""
    loss: Callable[[nn.Module, Draw], dict[str, Tensor]]
    """As `Task.loss`; may go through the model as often as it likes."""
    rate: float = 1.0
    """Its learning rate, as a multiple of `LoopConfig.rate_at`."""
    times: int = 1
    """How often it moves in one update."""


@runtime_checkable
class TurnTask(Protocol):
    """What is learned in turns, taken in order in every update."""

    @property
    def turns(self) -> Sequence[Turn]:
        """The turns of an update; the last one's loss is the training's."""

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Draw as `Task.sample` does."""


def train(model: nn.Module, task: Task | TurnTask, config: LoopConfig, *, resume: bool = True) -> nn.Module:
    """Train `model` in place up to `config.steps` and return a copy with averaged weights.

    With `resume`, a checkpoint in the folder is gone on from; without, it is an error to find one.

    Raises:
        FileExistsError: `resume` is False and the folder holds a checkpoint.
        ValueError: the batch cannot be shared evenly among the processes.
        UserError: the loss or its gradient is no number any more; the last checkpoint is from before.
    """
    # A denoiser's last text layers lead nowhere and so have no gradient; several processes must be told.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(mixed_precision=_mixed_precision(), kwargs_handlers=[unused])
    if config.batch_size % accelerator.num_processes:
        raise ValueError(
            f"got a batch of {config.batch_size} for {accelerator.num_processes} processes; expected a multiple"
        )
    average = _copy(model)
    players = _players(accelerator, model.to(accelerator.device), task, config)
    optimizers = {player.turn.name: player.optimizer for player in players}
    path = config.folder / "checkpoint.safetensors"
    if path.exists() and not resume:
        raise FileExistsError(f"{path} exists; resume from it, or choose another folder")
    start, spent = load_checkpoint(path, model, average, optimizers) if path.exists() else (0, 0.0)
    average.to(accelerator.device)
    wrapped = model if isinstance(task, TurnTask) else accelerator.prepare(model)
    log = Log(
        config.folder,
        asdict(config),
        every=config.log_every,
        batch_size=config.batch_size,
        main=accelerator.is_main_process,
        start=start,
    )
    clock = Clock(config.budget_s, spent)
    size = config.batch_size
    with progress_bar("samples") as bar:
        counter = bar.add_task("training", total=config.steps * size, completed=start * size)
        expected = clock.updates_in_all(start, config.steps)
        for step in range(start, config.steps):
            rate = config.rate_at(step, expected)
            values = _update(accelerator, wrapped, players, config, step, rate)
            _average(average, model, min(config.ema_decay, (step + 1) / (step + 10)))
            log.note(step, values, rate, bar)
            done = step + 1
            expected = clock.updates_in_all(done, config.steps)
            bar.update(counter, total=expected * size, advance=size)
            last = done == config.steps or clock.is_up(accelerator)
            saves = done % config.save_every == 0 or last
            samples = bool(config.sample_every) and (done % config.sample_every == 0 or last)
            if accelerator.is_main_process and (saves or samples):
                require_finite_loss(values, done)
                # Drawn before it is saved: what was interrupted in between is drawn again after a resume, and alike.
                if samples:
                    task.sample(average, config.folder, done)
                if saves:
                    save_checkpoint(path, model, average, optimizers, done, clock.seconds)
            if last:
                break
    return average


@dataclass(frozen=True, kw_only=True)
class _Player:
    """A turn with its optimizer."""

    turn: Turn
    optimizer: torch.optim.Optimizer
    in_step: bool
    """Whether accelerate brings the processes' gradients together; else it is done here."""


def _players(
    accelerator: Accelerator, model: nn.Module, task: Task | TurnTask, config: LoopConfig
) -> list[_Player]:
    alone = not isinstance(task, TurnTask)
    turns: Sequence[Turn]
    if isinstance(task, TurnTask):
        turns = task.turns
        if accelerator.num_processes > 1:
            for parameter in (one for turn in turns for one in turn.parameters):
                broadcast(parameter.data)
    else:
        learned = tuple(parameter for parameter in model.parameters() if parameter.requires_grad)
        turns = [Turn(name="", parameters=learned, loss=task.loss)]
    return [
        _Player(turn=turn, optimizer=_optimizer(turn.parameters, config), in_step=alone) for turn in turns
    ]


def _update(
    accelerator: Accelerator,
    model: nn.Module,
    players: Sequence[_Player],
    config: LoopConfig,
    step: int,
    rate: float,
) -> dict[str, Tensor]:
    seed, device = seed_of(config.seed, step), accelerator.device
    noise_generator = None if device.type == "cpu" else torch.Generator(device).manual_seed(seed)
    draw = Draw(
        step=step, batch_size=config.batch_size, device=device, generator=torch.Generator().manual_seed(seed),
        noise_generator=noise_generator, rank=accelerator.process_index, processes=accelerator.num_processes,
    )  # fmt: skip
    noted: dict[str, Tensor] = {}
    for player in players:
        values: dict[str, Tensor] = {}
        for _ in range(player.turn.times):
            values = _move(accelerator, model, player, config, draw, rate)
        prefix = "" if player is players[-1] else f"{player.turn.name}_"
        noted |= {f"{prefix}{name}": value for name, value in values.items()}
    return noted


def _move(
    accelerator: Accelerator, model: nn.Module, player: _Player, config: LoopConfig, draw: Draw, rate: float
) -> dict[str, Tensor]:
    optimizer, parameters = player.optimizer, player.turn.parameters
    for group in optimizer.param_groups:
        group["lr"] = rate * player.turn.rate
    with accelerator.autocast(), mixed_norms():
        values = player.turn.loss(model, draw)
    if player.in_step:
        accelerator.backward(values["loss"])
    else:
        accelerator.backward(values["loss"], inputs=list(parameters))
        _share_gradients(accelerator, parameters)
    norm = nn.utils.clip_grad_norm_(parameters, config.clip_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {**values, "gradient_norm": torch.as_tensor(norm)}


@contextmanager
def mixed_norms() -> Iterator[None]:
    """Keep torch from warning that norms of narrow numbers by wide weights have no kernel of their own.

    They are meant: what learns is kept wide.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mismatch dtype between input and weight")
        yield


def _share_gradients(accelerator: Accelerator, parameters: Sequence[nn.Parameter]) -> None:
    """Give every process the mean gradient; the wrapper that does so elsewhere wants one pass per update."""
    for parameter in parameters:
        if parameter.grad is None:  # leads nowhere; on any number of devices it is to be treated alike
            parameter.grad = torch.zeros_like(parameter)
    if accelerator.num_processes == 1:
        return
    gradients = [one.grad for one in parameters if one.grad is not None]
    whole = accelerator.reduce(torch.cat([one.flatten() for one in gradients]), reduction="mean")
    parts = whole.split([one.numel() for one in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)


def _mixed_precision() -> str:
    if asked := os.environ.get("ACCELERATE_MIXED_PRECISION"):
        return asked
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return "bf16" if pick_dtype(device) == torch.bfloat16 else "no"


def _optimizer(parameters: Sequence[nn.Parameter], config: LoopConfig) -> torch.optim.Optimizer:
    """Return AdamW over the parameters: matrices decay, vectors (norms, biases) do not."""
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0},
    ]  # fmt: skip
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def _copy(model: nn.Module) -> nn.Module:
    """Return a copy to average in, which shares what is frozen."""
    frozen: dict[int, object] = {id(one): one for one in model.parameters() if not one.requires_grad}
    copied = deepcopy(model, frozen).requires_grad_(False).eval()
    # A method that was compiled belongs to the model and would go on computing with its weights.
    for module in copied.modules():
        vars(module).pop("forward", None)
    return copied


@torch.no_grad()
def _average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the average towards the model; buffers (running statistics) are taken as they are."""
    pairs = zip(average.parameters(), model.parameters(), strict=True)
    kept, new = zip(*((mine, theirs) for mine, theirs in pairs if theirs.requires_grad), strict=True)
    torch._foreach_lerp_(list(kept), list(new), 1.0 - decay)
    for mine, theirs in zip(average.buffers(), model.buffers(), strict=True):
        mine.copy_(theirs)
