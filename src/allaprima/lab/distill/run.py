"""One distillation from its settings to its best LoRA: what `prima distill` runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import torch
from accelerate import PartialState
from torch import Tensor, nn

from allaprima.core.errors import UserError
from allaprima.lab.distill.add import AddTask, Duel
from allaprima.lab.distill.bench import Bench
from allaprima.lab.distill.dmd import DmdTask
from allaprima.lab.distill.exam import Exam, ExamSettings, prepare_exam
from allaprima.lab.distill.heads import Eyes, Heads, PixelEyes, TeacherEyes, summary
from allaprima.lab.distill.lcm import LcmTask
from allaprima.lab.distill.lora_file import About, begin_with, ranks_of, write_student
from allaprima.lab.distill.networks import to_device
from allaprima.lab.distill.rollout import Rule
from allaprima.lab.distill.sensitivity import allot, measure_sensitivity, read_ranks, write_ranks
from allaprima.lab.distill.sites import Where, find_sites, num_parameters, pattern_ranks, uniform_ranks
from allaprima.lab.distill.students import FAKE, STUDENT, Ranks, Student
from allaprima.lab.distill.turbo_lora import TurboTask
from allaprima.lab.evaluation.features import ImageFeatures
from allaprima.lab.training.loop import Draw, LoopConfig, TurnTask, train
from allaprima.paint.bases.base import TextStates

Method = Literal["turbo", "lcm", "add", "dmd"]
METHODS: tuple[Method, ...] = get_args(Method)
Arm = Literal["both", "adversarial", "distillation"]

RATES: dict[Method, float] = {"turbo": 1e-3, "lcm": 5e-4, "add": 3e-4, "dmd": 2e-4}
"""Learning rates for LoRAs on Vignette; networks a thousand times its size want a twentieth."""
_SENSITIVITY_BATCHES = 8


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a distillation depends on besides the base and the data."""

    method: Method
    steps: int = 4
    guidance: float = 4.0
    where: Where = "text"
    ranks: str = "pattern"
    """"pattern", "sensitivity", or a number for the same rank everywhere."""
    parameters: int = 0
    """Budget of the sensitivity pass; 0 is what the pattern costs."""
    whole: bool = False
    """Train a copy of the network instead of a LoRA."""
    rule: Rule = "straight"
    embedded: bool = False
    """LCM: draw the guidance and tell it to the student."""
    penalty: float = 1.0
    coupling: Literal["teacher", "data"] = "teacher"
    arm: Arm = "both"
    eyes: Literal["latent", "pixel"] = "latent"
    diversity: float = 0.0
    fake_updates: int = 5
    start: Path | None = None
    """A student's LoRA to begin with, its ranks among it, in place of one that changes nothing."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse methods and ranks that do not exist."""
        if self.method not in METHODS:
            raise UserError(f"got the method {self.method!r}; expected {', '.join(METHODS)}")
        if self.ranks not in {"pattern", "sensitivity"} and not (self.ranks.isdigit() and int(self.ranks)):
            raise UserError(f"got ranks {self.ranks!r}; expected pattern, sensitivity or a number")
        if self.embedded and (self.method != "lcm" or not self.whole):
            raise UserError(
                "got --embedded; expected it with lcm --whole, for a LoRA file has no place for it"
            )
        if self.start is not None and self.whole:
            raise UserError("got a LoRA to start from with --whole; expected one of the two")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it."""

    folder: Path
    lora: Path | None
    """The best student's file; None for whole networks."""
    parameters: int
    """Of the student."""


def choose_ranks(bench: Bench, settings: Settings, folder: Path, batch: int) -> Ranks:
    """The LoRA's rank at each site; those of a sensitivity pass are kept in `ranks.json` and read from there."""
    everywhere = find_sites(bench.network)
    sites = [site for site in everywhere if settings.where == "all" or site.text]
    kept = folder / "ranks.json"
    if kept.exists():
        return read_ranks(kept)
    if settings.start is not None:
        ranks = ranks_of(settings.start)
    elif settings.ranks == "pattern":
        ranks = pattern_ranks(sites)
    elif settings.ranks == "sensitivity":
        budget = settings.parameters or num_parameters(everywhere, pattern_ranks(everywhere))
        student = Student(bench.network, {STUDENT: {}})
        task = TurboTask(student=student, material=bench.material, steps=settings.steps, guidance=settings.guidance,
                         coupling=settings.coupling)  # fmt: skip

        def loss(number: int) -> Tensor:
            generator = torch.Generator().manual_seed((settings.seed << 40) + (1 << 39) + number)
            draw = Draw(step=number, batch_size=batch, device=student.device, generator=generator)
            return task.loss(student, draw)["loss"]

        found = measure_sensitivity(bench.network, sites, loss, batches=_SENSITIVITY_BATCHES)
        ranks = allot(sites, found, budget)
    else:
        ranks = uniform_ranks(sites, int(settings.ranks))
    write_ranks(kept, ranks, everywhere)
    return ranks


def distill(
    bench: Bench,
    settings: Settings,
    config: LoopConfig,
    *,
    resume: bool,
    features: ImageFeatures | None = None,
) -> Outcome:
    """Train a student and leave its best LoRA, `best.safetensors`, in the training's folder.

    Args:
        bench: base and material.
        settings: what to train.
        config: how long and where to.
        resume: go on from a checkpoint in the folder; without, one there is an error.
        features: the image network whose view of pictures scores the exams, and that ADD's pixel variant sees
            with; without one the latents' distance scores them.

    Raises:
        UserError: a checkpoint is there without `resume`, or the method lacks what it learns from.
    """
    if not resume and (config.folder / "checkpoint.safetensors").exists():
        raise UserError(
            f"{config.folder} holds a training; add --resume to go on with it, or choose another folder"
        )
    config = replace(config, seed=settings.seed)
    # The first process writes ranks and exam, the others read them.
    with PartialState(cpu=not torch.cuda.is_available()).main_process_first():
        student = _enrol(bench, settings, config)
        keep = None if settings.whole else partial(_keep, _about(bench, settings))
        exam = prepare_exam(
            config.folder,
            student,
            bench.texts,
            bench.exam_prompts,
            bench.shape,
            ExamSettings(
                steps=settings.steps,
                rule=settings.rule,
                guidance=settings.guidance,
                student_guidance=settings.guidance if settings.embedded else None,
            ),
            decode=bench.decode,
            look=None
            if features is None
            else lambda latents: features.vectors(bench.decode(latents).float()),
            keep=keep,
        )
    model, task = _task(bench, settings, student, exam, features)
    train(model, task, config, resume=resume)
    best = config.folder / "best.safetensors"
    return Outcome(
        folder=config.folder,
        lora=best if best.exists() else None,
        parameters=sum(one.numel() for one in student.learned()),
    )


def _enrol(bench: Bench, settings: Settings, config: LoopConfig) -> Student:
    """The students that the method needs."""
    learners: dict[str, Ranks | None] = {STUDENT: None}
    if not settings.whole:
        learners[STUDENT] = choose_ranks(bench, settings, config.folder, config.batch_size)
    if settings.method == "dmd":
        # The fake network must follow the painter wherever it goes, so it may change everywhere.
        sites = find_sites(bench.network)
        rank = max((learners[STUDENT] or {"": 16}).values())
        learners[FAKE] = None if settings.whole else uniform_ranks(sites, rank)
    width = 0
    if settings.embedded:
        embedder = bench.network.time_embedder
        linears = [one for one in embedder.modules() if isinstance(one, nn.Linear)]
        width = linears[-1].out_features
    student = Student(bench.network, learners, guidance_width=width, seed=settings.seed)
    if settings.start is not None:
        begin_with(student, settings.start)
    return student


def _about(bench: Bench, settings: Settings) -> About:
    return About(
        method=settings.method,
        family=bench.family,
        base_hash=bench.base_hash,
        steps=settings.steps,
        rule=settings.rule,
    )


def _keep(about: About, student: Student, folder: Path, step: int, score: float) -> None:
    write_student(folder / "best.safetensors", student, about, updates=step, score=score)


def _task(
    bench: Bench, settings: Settings, student: Student, exam: Exam, features: ImageFeatures | None
) -> tuple[nn.Module, TurnTask]:
    common = {"material": bench.material, "guidance": settings.guidance, "exam": exam}
    make: dict[Method, Callable[[], tuple[nn.Module, TurnTask]]] = {
        "turbo": lambda: (
            student,
            TurboTask(student=student, steps=settings.steps, penalty=settings.penalty,
                      coupling=settings.coupling, **common),  # type: ignore[arg-type]
        ),
        "lcm": lambda: (
            student,
            LcmTask(student=student, guidance_range=(2.0, 2 * settings.guidance) if settings.embedded else None,
                    **common),  # type: ignore[arg-type]
        ),
        "dmd": lambda: (
            student,
            DmdTask(student=student, steps=settings.steps, rule=settings.rule, diversity=settings.diversity,
                    fake_updates=settings.fake_updates, **common),  # type: ignore[arg-type]
        ),
        "add": lambda: _add(bench, settings, student, exam, features),
    }  # fmt: skip
    return make[settings.method]()


def _add(
    bench: Bench, settings: Settings, student: Student, exam: Exam, features: ImageFeatures | None
) -> tuple[nn.Module, TurnTask]:
    eyes: Eyes
    if settings.eyes == "pixel":
        if features is None:
            raise UserError("got --eyes pixel without an image network; expected one, or --eyes latent")
        eyes = PixelEyes(bench.raw_decode, features.maps)
    else:
        count = len(bench.network.blocks)
        eyes = TeacherEyes(sorted({count // 4, count // 2, 3 * count // 4, count - 1}))
    widths, text_width = _look_once(bench, student, eyes)
    duel = Duel(student, Heads(widths, text_width, seed=settings.seed))
    task = AddTask(
        duel=duel,
        material=bench.material,
        eyes=eyes,
        steps=settings.steps,
        guidance=settings.guidance,
        adversarial=0.0 if settings.arm == "distillation" else 1.0,
        distillation=0.0 if settings.arm == "adversarial" else 2.5,
        exam=exam,
    )
    return duel, task


@torch.no_grad()
def _look_once(bench: Bench, student: Student, eyes: Eyes) -> tuple[list[int], int]:
    """How wide the critic's maps are, and the prompts' summary."""
    text: TextStates = to_device(bench.texts.empty(1), student.device)
    x = torch.zeros(1, *bench.shape, device=student.device)
    t = student.process.times(torch.full((1,), 0.5, device=student.device))
    maps = eyes.look(student, x, x, t, text)
    return [one.shape[1] for one in maps], summary(text).shape[1]
