"""What a training writes down as it goes: lines of JSON in its folder, the time it takes, the loss on the bar."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from rich.progress import Progress
from torch import Tensor

from allaprima.core.errors import UserError
from allaprima.core.files import write_whole


class Clock:
    """How long a training has taken, earlier runs of it included."""

    def __init__(self, budget_s: float | None, spent: float = 0.0) -> None:
        self.budget_s, self.spent = budget_s, spent
        self.started = time.perf_counter()
        self.begun: tuple[int, float] | None = None
        """Updates and seconds when the first update of this run was done: it compiles and warms up."""

    @property
    def seconds(self) -> float:
        """Seconds up to now."""
        return self.spent + time.perf_counter() - self.started

    def updates_in_all(self, done: int, most: int) -> int:
        """Return how many updates there will be, judged by those `done`: `most`, or as many as the budget allows."""
        if self.budget_s is None or not done:
            return most
        now = self.seconds
        updates, seconds = self.begun or (0, 0.0)
        if self.begun is None:
            self.begun = done, now
        if done == updates or (updates == 0 and not self.spent):
            return most
        pace = (now - seconds) / (done - updates)
        left = max(0.0, self.budget_s - now) / max(pace, 1e-9)
        return min(most, done + round(left))

    def is_up(self, accelerator: Accelerator) -> bool:
        """Return whether the budget is spent; all processes get one answer."""
        if self.budget_s is None:
            return False
        if accelerator.num_processes == 1:
            return self.seconds >= self.budget_s  # a device that is asked has to be waited for
        late = torch.tensor(float(self.seconds >= self.budget_s), device=accelerator.device)
        return bool(accelerator.reduce(late, reduction="sum") > 0)


def _plain(value: object) -> str:
    """Return what JSON has no form for as text; of a path its name alone, for a run's folder is handed on."""
    return value.name if isinstance(value, Path) else str(value)


class Log:
    """Lines of JSON in the folder and the last loss on the bar."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        every: int,
        batch_size: int,
        main: bool,
        start: int = 0,
    ) -> None:
        """Begin, or go on after update `start`: later lines are dropped, since their updates are made again.

        `config` goes into `config.json`; a line is due `every` so many updates, and the `main` process writes it.
        """
        self.path, self.every, self.batch_size, self.main = folder / "log.jsonl", every, batch_size, main
        self.since, self.steps = time.perf_counter(), 0
        self.sums: dict[str, Tensor] = {}
        if main:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "config.json").write_text(json.dumps(config, default=_plain, indent=1))
            _forget_after(start, self.path)

    def note(self, step: int, values: dict[str, Tensor], rate: float, bar: Progress) -> None:
        """Add one step's values; write their means when a line is due."""
        self.steps += 1
        for name, value in values.items():
            value = value.detach().float()  # stays on its device: reading it would make the processor wait
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        if (step + 1) % self.every or not self.main:
            return
        means = {name: float(value) / self.steps for name, value in self.sums.items()}
        require_finite_loss(means, step + 1)
        seconds = time.perf_counter() - self.since
        line = {
            "step": step + 1,
            **{name: round(value, 6) for name, value in means.items()},
            "rate": rate,
            "samples_per_second": round(self.steps * self.batch_size / seconds, 2),
        }
        with self.path.open("a") as lines:
            lines.write(json.dumps(line) + "\n")
        bar.update(bar.task_ids[0], description=f"loss {means['loss']:.4f}")
        self.since, self.steps, self.sums = time.perf_counter(), 0, {}


def require_finite_loss(values: Mapping[str, Tensor | float], done: int) -> None:
    """Refuse to go on from numbers that are none.

    Raises:
        UserError: the loss or the size of its gradient is NaN or infinite.
    """
    for name in ("loss", "gradient_norm"):
        value = values.get(name, 0.0)
        number = float(value.detach()) if isinstance(value, Tensor) else value
        if not math.isfinite(number):
            raise UserError(
                f"got {name.replace('_', ' ')} {number} at update {done}; expected a finite number: lower the "
                "learning rate; the last checkpoint is from before"
            )


def _forget_after(start: int, path: Path) -> None:
    """Drop the lines of updates after `start`, and one that was cut short."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            if json.loads(line)["step"] <= start:
                kept.append(line + "\n")
        except (ValueError, KeyError):
            continue
    if kept or path.exists():
        write_whole(path, "".join(kept).encode(), overwrite=True)
