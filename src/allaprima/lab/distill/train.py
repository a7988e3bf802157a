"""One distillation from its settings to its best LoRA: what `prima distill` runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import nn

from allaprima.core.errors import UserError
from allaprima.core.files import make_folder, write_whole
from allaprima.lab.distill.learners import STUDENT, LayerRanks, Learners
from allaprima.lab.distill.lora_file import begin_with, write_student
from allaprima.lab.distill.methods.method import MethodSettings, TaskInputs
from allaprima.lab.distill.ranks import choose_ranks
from allaprima.lab.distill.sensitivity import read_ranks, write_ranks
from allaprima.lab.distill.target_modules import find_target_modules
from allaprima.lab.distill.teacher import TeacherSetup
from allaprima.lab.distill.trajectories import Trajectories
from allaprima.lab.distill.validation import Validation, ValidationSettings, prepare_validation
from allaprima.lab.evaluation.features import ImageFeatures
from allaprima.lab.training.loop import Draw, LoopConfig, train

_FILES = ("checkpoint.safetensors", "best.safetensors", "exam.jsonl")
"""By any of these a folder holds a training."""
_FORMER_NAMES = {"rule": "sampler", "where": "sites", "eyes": "features"}
_FORMER_VALUES = {"straight": "euler", "renoise": "lcm"}
"""What folders that are older than these names call settings and samplers."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a distillation."""

    folder: Path
    lora: Path | None
    """The best student's file; None for whole networks."""
    parameters: int
    """Of the student."""
    main: bool = True
    """Whether this is the first of several processes, which is the one to tell."""


def distill(
    setup: TeacherSetup,
    settings: MethodSettings,
    config: LoopConfig,
    *,
    resume: bool,
    features: ImageFeatures | None = None,
) -> Outcome:
    """Train a student and leave its best LoRA, `best.safetensors`, in the training's folder.

    Args:
        setup: the base and what is learned from.
        settings: a method's.
        config: how long and where to.
        resume: go on from a checkpoint in the folder; without, one there is an error.
        features: the image network whose view of pictures scores the validations, and that ADD's pixel variant
            takes its features from; without one the latents' distance scores them.

    Raises:
        UserError: a training is there without `resume`, or another one with it, or the method lacks what it learns
            from.
        OutputError: the folder cannot be written.
    """
    _check_material(setup, settings)
    config = replace(config, seed=settings.seed)
    state = PartialState(cpu=not torch.cuda.is_available())
    if state.is_main_process:
        _claim(config.folder, setup, settings, resume=resume)
    state.wait_for_everyone()
    # The first process writes ranks and the teacher's latents, the others read them.
    with state.main_process_first():
        begun = (config.folder / "checkpoint.safetensors").exists()
        learners = make_learners(setup, settings, config, read=begun or not state.is_main_process)
        validation = _validation(setup, settings, config.folder, learners, features)
    given = TaskInputs(setup=setup, learners=learners, validation=validation, features=features)
    model, task = settings.build(given)
    train(model, task, config, resume=resume)
    best = config.folder / "best.safetensors"
    return Outcome(
        folder=config.folder,
        lora=best if best.exists() else None,
        parameters=sum(parameter.numel() for parameter in learners.learned()),
        main=state.is_main_process,
    )


def _check_material(setup: TeacherSetup, settings: MethodSettings) -> None:
    """Refuse what the method cannot learn from, before the teacher is asked for anything."""
    draw = Draw(step=0, batch_size=1, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0))
    batch = setup.material.batch(draw)
    if settings.needs_pictures:
        batch.pictures()
    # Those who take pictures alone from the teacher's ways may have them of any guidance.
    if isinstance(setup.material, Trajectories) and settings.follows_trajectories:
        batch.stops_per_step(settings.steps)
        if setup.material.guidance not in (None, settings.guidance):
            raise UserError(
                f"got paths of guidance {setup.material.guidance} and guidance {settings.guidance}; expected the same"
            )


def _claim(folder: Path, setup: TeacherSetup, settings: MethodSettings, *, resume: bool) -> None:
    """Note in the folder what is trained there, unless that is something else already.

    Where a student begins is not compared: the checkpoint is where it has come to.
    """
    metadata = {
        "method": settings.method,
        **{name: value for name, value in asdict(settings).items() if name != "start"},
        "family": setup.family,
        "base_hash": setup.base_hash,
        "exam_prompts": len(setup.validation_prompts),
    }
    path = folder / "settings.json"
    begun = any((folder / name).exists() for name in _FILES)
    if begun and not resume:
        raise UserError(f"{folder} holds a training; add --resume to go on with it, or choose another folder")
    make_folder(folder)
    if begun and path.exists():
        before = _read_settings(path)
        other = [name for name in metadata if before.get(name) != metadata[name]]
        if other:
            raise UserError(
                f"{folder} holds a training with {other[0]} {before.get(other[0])}, and got {metadata[other[0]]}; "
                "expected the options it was begun with, or another folder"
            )
    write_whole(path, (json.dumps(metadata, indent=1) + "\n").encode(), overwrite=True)


def _read_settings(path: Path) -> Mapping[str, Any]:
    """Return what a `settings.json` says, by the names of today."""
    try:
        settings = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"cannot read {path}: {error}; expected the settings as they were written") from error
    for former, name in _FORMER_NAMES.items():
        if former in settings:
            value = settings.pop(former)
            settings[name] = _FORMER_VALUES.get(str(value), value)
    return settings


def make_learners(
    setup: TeacherSetup, settings: MethodSettings, config: LoopConfig, *, read: bool
) -> Learners:
    """Return the learners that the method needs.

    Args:
        read: take the student's ranks from `ranks.json` in the folder, if it is there, instead of writing it.
    """
    path = config.folder / "ranks.json"
    targets = find_target_modules(setup.network)  # before any LoRA sits there
    read = read and path.exists()
    ranks: LayerRanks | None = None
    if not settings.whole:
        ranks = read_ranks(path) if read else choose_ranks(setup, settings, config.batch_size)
    width = 0
    if settings.student_guidance is not None:
        embedder = setup.network.time_embedder
        width = [layer for layer in embedder.modules() if isinstance(layer, nn.Linear)][-1].out_features
    learners = Learners(
        setup.network,
        {STUDENT: ranks, **settings.opponents(setup, ranks)},
        guidance_width=width,
        seed=settings.seed,
    )
    if settings.start is not None:
        begin_with(learners, settings.start)
    if ranks and not read:
        write_ranks(path, learners.ranks[STUDENT], targets)
    return learners


def _validation(
    setup: TeacherSetup,
    settings: MethodSettings,
    folder: Path,
    learners: Learners,
    features: ImageFeatures | None,
) -> Validation:
    return prepare_validation(
        folder,
        learners,
        setup.texts,
        setup.validation_prompts,
        setup.shape,
        ValidationSettings(
            steps=settings.steps,
            sampler=settings.sampler,
            guidance=settings.guidance,
            student_guidance=settings.student_guidance,
        ),
        base_hash=setup.base_hash,
        decode=setup.decode,
        embed=None if features is None else lambda latents: features.vectors(setup.decode(latents).float()),
        save_best=None if settings.whole else partial(_save_best, setup, settings),
    )


def _save_best(
    setup: TeacherSetup, settings: MethodSettings, learners: Learners, folder: Path, step: int, score: float
) -> None:
    path, about = folder / "best.safetensors", {"family": setup.family, "base_hash": setup.base_hash}
    write_student(path, learners, settings, **about, updates=step, score=score)
