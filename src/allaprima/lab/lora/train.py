"""One training from pictures to the LoRA in the folder: what `prima lora train` runs."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from allaprima.core.errors import UserError
from allaprima.core.files import check_target, make_folder
from allaprima.lab.distill.networks import base_hash
from allaprima.lab.lora.dataset import training_set
from allaprima.lab.lora.lora_file import LoraRecord, make_lora, read_start
from allaprima.lab.lora.pictures import CaptionedPictures
from allaprima.lab.lora.sheet import SHEET, make_sheet
from allaprima.lab.lora.task import LoraTask
from allaprima.lab.lora.trainable_lora import (
    LayerChoice,
    TrainableLora,
    default_rate,
    denoiser_of,
    find_layers,
    layers_at,
)
from allaprima.lab.lora.training_folder import Mode, TrainingFolder
from allaprima.lab.training.loop import LoopConfig, train
from allaprima.paint.contract.base import Base
from allaprima.paint.lora.files.writer import KeyLayout, write_lora
from allaprima.paint.lora.update import LowRank

_WARMUP = 20
_EMA = 0.98


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """What a LoRA is and how it learns. Raises UserError for values that do not go together."""

    name: str
    steps: int = 500
    rank: int = 16
    alpha: float | None = None
    """A layer's update counts alpha / rank times; None for once."""
    targets: LayerChoice = "all"
    learning_rate: float | None = None
    """None for one that suits the width of the base's layers."""
    batch_size: int = 4
    size: tuple[int, int] | None = None
    """Width and height in pixels; None for the base's own."""
    windows: int = 3
    """Views of each picture besides the whole."""
    flip: bool = False
    empty_share: float = 0.1
    """How often a caption is dropped, for guidance."""
    samples: tuple[str, ...] = ()
    """Prompts of the sample sheets; () for the first caption."""
    sample_every: int | None = None
    """Updates between samples; None for four in all, 0 for none."""
    save_every: int = 100
    checkpointing: bool = False
    """Compute blocks again for their gradients, which takes longer and a fraction of the memory."""
    layout: KeyLayout = "diffusers"
    start: Path | None = None
    """A LoRA to go on from, whose layers and ranks are taken."""
    seed: int = 0

    def compared(self) -> dict[str, Any]:
        """Return what has to be the same when a training goes on."""
        free = {"steps", "samples", "sample_every", "save_every", "checkpointing", "layout", "start"}
        return {name: value for name, value in vars(self).items() if name not in free}


@dataclass(frozen=True, kw_only=True)
class TrainedLora:
    """What came of a training."""

    path: Path
    folder: Path
    """Of the training: checkpoint, log and samples."""
    sheet: Path | None
    steps: int
    """Updates behind it, those before a resume counted in."""
    loss: float | None
    """The last that was logged, a mean of ten updates; None after fewer."""
    parameters: int
    learning_rate: float
    seconds: float
    """Of this run, from the pictures to the file."""
    main: bool = True
    """Whether this is the first of several processes, which is the one to tell."""


def train_lora(
    base: Base,
    pictures: CaptionedPictures,
    settings: LoraSettings,
    *,
    target: Path,
    folder: Path,
    weights: Path | None = None,
    mode: Mode = "new",
) -> TrainedLora:
    """Train a LoRA and write it to `target`.

    Args:
        base: it can encode no prompts afterwards, for its text encoders' weights are let go.
        pictures: what to learn from.
        settings: what of.
        target: the file to write.
        folder: of the training.
        weights: of a Vignette that does not ship.
        mode: begin, go on with what is in the folder, or begin anew over it.

    Raises:
        UserError: the base cannot be trained, a training is in the folder, or another one than is to go on.
        PictureError: a picture is damaged.
        OutputError: the file or the folder cannot be written.
    """
    started = time.perf_counter()
    _check_base(base)
    size = settings.size or (base.defaults.width, base.defaults.height)
    base.check_size(*size)
    root, network = denoiser_of(base)
    start = None if settings.start is None else read_start(settings.start, base, root)
    lora, layers = _fresh(network, settings, start)
    about = {
        "family": base.family,
        "base_hash": base_hash(base, weights),
        "size": size,
        "pictures": pictures.digest(),
    }
    training = TrainingFolder(path=folder, about={**settings.compared(), **about}, mode=mode)
    training.check()
    task, config = _prepare(base, lora, layers, pictures, replace(settings, size=size), folder)
    make_folder(target.parent)
    check_target(target)
    state = PartialState(cpu=not torch.cuda.is_available())
    if state.is_main_process:
        training.begin()
    state.wait_for_everyone()
    with task.hung():
        if state.is_main_process and not training.is_begun:
            task.sample(lora, folder, 0)
        average = train(lora, task, config)
    if state.is_main_process:
        record = LoraRecord(
            name=settings.name, family=base.family, base_name=base.name, base_hash=str(about["base_hash"]),
            prediction=base.prediction, captions=pictures.captions, trigger_words=pictures.trigger_words, size=size,
            batch_size=config.batch_size, learning_rate=config.learning_rate, seed=settings.seed,
        )  # fmt: skip
        assert isinstance(average, TrainableLora)
        trained = make_lora(settings.name, root, average.updates(), record.metadata(training.num_steps()))
        write_lora(target, trained, settings.layout, dtype=torch.float16, base_modules=base.modules())
    return TrainedLora(
        path=target, folder=folder, sheet=None if task.sheet is None else folder / SHEET,
        steps=training.num_steps(), loss=training.last_loss(),
        parameters=sum(matrix.numel() for matrix in lora.parameters()), learning_rate=config.learning_rate,
        seconds=time.perf_counter() - started, main=state.is_main_process,
    )  # fmt: skip


def _fresh(
    network: nn.Module, settings: LoraSettings, start: Mapping[str, LowRank] | None
) -> tuple[TrainableLora, dict[str, nn.Linear | nn.Conv2d]]:
    """Return the LoRA as it begins, and the layers that it is for."""
    layers = find_layers(network, settings.targets) if start is None else layers_at(network, start)
    ranks = {path: settings.rank if start is None else start[path].rank for path in layers}
    lora = TrainableLora(layers, ranks, alpha=settings.alpha if start is None else None, seed=settings.seed)
    if start is not None:
        lora.begin_with(start)
    return lora, layers


def _prepare(
    base: Base,
    lora: TrainableLora,
    layers: dict[str, nn.Linear | nn.Conv2d],
    pictures: CaptionedPictures,
    settings: LoraSettings,
    folder: Path,
) -> tuple[LoraTask, LoopConfig]:
    """Return the task and the loop's settings; all is encoded, and what encoded the words is let go."""
    assert settings.size is not None
    for module in (module for stage in base.stages().values() for module in stage):
        module.requires_grad_(False).eval()
    learned = training_set(
        base, pictures, settings.size, windows=settings.windows, flip=settings.flip, seed=settings.seed
    )
    every = math.ceil(settings.steps / 4) if settings.sample_every is None else settings.sample_every
    sheet = make_sheet(base, settings.samples or pictures.captions[:1], settings.size) if every else None
    stages = base.stages()
    for idle in (*stages["text"], *(() if sheet else stages["decode"])):
        idle.to("meta")  # Qwen-Image's text encoder would hold 16.6 GB that the training wants
    network = denoiser_of(base)[1]
    if settings.checkpointing and isinstance(network, ModelMixin):
        network.enable_gradient_checkpointing()
    task = LoraTask(
        base=base, lora=lora, layers=layers, pictures=learned, size=settings.size, sheet=sheet,
        empty_share=settings.empty_share, seed=settings.seed,
    )  # fmt: skip
    rate = default_rate(layers) if settings.learning_rate is None else settings.learning_rate
    config = LoopConfig(
        folder=folder, steps=settings.steps, batch_size=settings.batch_size, learning_rate=rate,
        warmup_steps=_WARMUP, ema_decay=_EMA, log_every=10, save_every=settings.save_every, sample_every=every,
        seed=settings.seed,
    )  # fmt: skip
    return task, config


def _check_base(base: Base) -> None:
    """Refuse a base from which no LoRA of whole pictures can be learned."""
    if base.reads_mask:
        raise UserError(
            f"got {base.name}, which was trained to paint what a mask says; expected a base that paints whole "
            "pictures, such as the one it was made from"
        )
