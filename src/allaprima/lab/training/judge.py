"""Train the judge on rendered scenes: `prima train judge runs/judge`.

Every sample is a function of its number alone (scene, picture, wear), so a training that was stopped goes on
from its last checkpoint exactly as if it had not. Scenes come from seeds that the base's training never uses,
and nothing the judge says ever reaches the base's training.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from allaprima.lab.evaluation.accuracy import measure_judge, unseen_scenes
from allaprima.lab.evaluation.judge import CELL, Judge, JudgeConfig, JudgeReading
from allaprima.lab.evaluation.targets import Targets, build_targets, judge_losses, stack_targets
from allaprima.lab.evaluation.truth import render_truth
from allaprima.lab.evaluation.worn_accessories import wear_picture
from allaprima.lab.scenes.draw import draw_scene
from allaprima.lab.scenes.sprites import SpriteCache
from allaprima.lab.training.checkpoint import write_tensors
from allaprima.lab.training.loop import Draw, LoopConfig, train
from allaprima.paint.layout.subjects import SUBJECTS

TRAIN_SEED = 2_000_000_000
"""The first scene the judge learns from; the base learns from seeds below 1,000,000,000."""
LOOK_SEED = 3_500_000_000
"""The first scene it is looked at with while it learns: neither learned from nor tested on."""
_SEEDS_PER_RANK = 100_000_000

JudgeBatch = tuple[Tensor, Targets]


class SceneDataset(Dataset[JudgeBatch]):
    """Worn pictures as uint8 (3, side, side) with their targets; sample i depends on i alone."""

    def __init__(self, config: JudgeConfig, side: int = 256) -> None:
        self.config = config
        self.side = side
        self._sprites: SpriteCache | None = None

    def __getitem__(self, index: int) -> JudgeBatch:
        """Render the sample of scene `TRAIN_SEED + index`."""
        if self._sprites is None:  # opened in the process that renders
            self._sprites = SpriteCache()
        seed = TRAIN_SEED + index
        scene = draw_scene(seed, split="any")
        picture, copies = render_truth(scene, self._sprites, self.side)
        worn = np.array(wear_picture(picture, random.Random(f"wear {seed}")))
        targets = build_targets(scene, copies, self.config, self.side // CELL)
        return torch.from_numpy(worn).permute(2, 0, 1), targets


class JudgeTask:
    """Say what is in rendered scenes; a task of the training loop.

    `workers` processes render, with 0 the training does between its steps. `compiled` takes a minute and then runs
    several times as fast on a CPU.
    """

    def __init__(
        self, config: JudgeConfig, *, side: int = 256, workers: int = 1, compiled: bool = False
    ) -> None:
        self.data = SceneDataset(config, side)
        self.workers = workers
        self.compiled = compiled
        self._network: Callable[[Tensor], JudgeReading] | None = None
        self._batches: Iterator[JudgeBatch] = iter(())
        self._next_step = -1

    def loss(self, model: nn.Module, draw: Draw) -> dict[str, Tensor]:
        """Return the loss of one batch of scenes."""
        if self._network is None:
            self._network = torch.compile(model) if self.compiled else model
        pictures, targets = self._batch(draw)
        inputs = (pictures.to(draw.device).float() / 255).contiguous(memory_format=torch.channels_last)
        losses = judge_losses(self._network(inputs), Targets(*(target.to(draw.device) for target in targets)))
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}

    def sample(self, model: nn.Module, folder: Path, step: int) -> None:
        """Look how it does on a few scenes it does not learn from, and write it down."""
        assert isinstance(model, Judge)
        tallies = measure_judge(model, unseen_scenes(128, LOOK_SEED), SpriteCache(), side=self.data.side)
        rates: dict[str, float] = {name: round(tally.rate, 4) for name, tally in tallies.items()}
        line = {"step": step, **rates}
        with (folder / "accuracy.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")

    def _batch(self, draw: Draw) -> JudgeBatch:
        if draw.step != self._next_step:
            start = draw.rank * _SEEDS_PER_RANK
            seeds = range(start + draw.step * draw.batch_size, start + _SEEDS_PER_RANK)
            ahead = 6 if self.workers else None
            self._batches = iter(
                DataLoader(self.data, batch_size=draw.batch_size, sampler=seeds, num_workers=self.workers,
                           prefetch_factor=ahead, collate_fn=collate)
            )  # fmt: skip
        self._next_step = draw.step + 1
        return next(self._batches)


def collate(samples: list[JudgeBatch]) -> JudgeBatch:
    """Stack one batch: uint8 (B, 3, side, side) and its targets."""
    return torch.stack([picture for picture, _ in samples]), stack_targets([truth for _, truth in samples])


def judge_config() -> JudgeConfig:
    """Return the configuration of the shipped judge, which names everything the renderer can put into a scene."""
    return JudgeConfig(kinds=(*SUBJECTS, "person"))


def loop_config(folder: Path, steps: int) -> LoopConfig:
    """Return how the shipped judge was trained."""
    return LoopConfig(
        folder=folder, steps=steps, batch_size=16, learning_rate=2e-3, warmup_steps=100, decay_steps=steps * 3 // 10,
        weight_decay=0.02, clip_norm=5.0, ema_decay=0.995, log_every=20, save_every=100, sample_every=250,
    )  # fmt: skip


def save_judge(judge: Judge, path: Path, accuracy: dict[str, float], scenes: int) -> None:
    """Write the weights as fp16, with how often the judge was right on `scenes` rendered scenes."""
    state = judge.state_dict()
    tensors = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    metadata = {
        "config": judge.config.to_json(),
        "accuracy": accuracy,
        "accuracy_scenes": scenes,
        "license": "Apache-2.0",
        "trained_on": "scenes rendered by allaprima.lab.scenes from Fluent Emoji (MIT) and Micah (CC BY 4.0)",
    }
    write_tensors(path, tensors, metadata)


def train_judge(
    folder: Path,
    path: Path,
    *,
    steps: int = 3000,
    workers: int = 1,
    compiled: bool = False,
    test_scenes: int = 1000,
) -> dict[str, float]:
    """Train in `folder` or go on there, test on `test_scenes` unseen scenes, write the weights to `path`.

    Returns:
        By attribute, the share of the test scenes it was right about.
    """
    torch.manual_seed(0)
    task = JudgeTask(judge_config(), workers=workers, compiled=compiled)
    judge = train(Judge(judge_config()), task, loop_config(folder, steps))
    assert isinstance(judge, Judge)
    tallies = measure_judge(judge, unseen_scenes(test_scenes), SpriteCache())
    accuracy: dict[str, float] = {name: tally.rate for name, tally in tallies.items()}
    save_judge(judge, path, accuracy, test_scenes)
    return accuracy
