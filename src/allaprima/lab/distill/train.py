"""One distillation from its settings to its best LoRA: what `prima distill` runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import torch
from accelerate import PartialState
from torch import Tensor, nn

from allaprima.core.errors import UserError
from allaprima.core.files import make_folder, write_whole
from allaprima.lab.distill.discriminator import (
    Discriminator,
    FeatureExtractor,
    PixelFeatures,
    TeacherFeatures,
    summary,
)
from allaprima.lab.distill.learners import FAKE, STUDENT, LayerRanks, Learners
from allaprima.lab.distill.lora_file import StudentInfo, begin_with, ranks_of, write_student
from allaprima.lab.distill.methods.add import AddTask, AdversarialModel
from allaprima.lab.distill.methods.dmd import DmdTask
from allaprima.lab.distill.methods.lcm import LcmTask
from allaprima.lab.distill.methods.turbo import TurboTask
from allaprima.lab.distill.networks import to_device
from allaprima.lab.distill.rollout import StepRule
from allaprima.lab.distill.sensitivity import allot, measure_sensitivity, read_ranks, write_ranks
from allaprima.lab.distill.target_modules import (
    Where,
    find_target_modules,
    num_parameters,
    pattern_ranks,
    uniform_ranks,
)
from allaprima.lab.distill.teacher import TeacherSetup
from allaprima.lab.distill.trajectories import Trajectories
from allaprima.lab.distill.validation import Validation, ValidationSettings, prepare_validation
from allaprima.lab.evaluation.features import ImageFeatures
from allaprima.lab.training.loop import Draw, LoopConfig, TurnTask, seed_of, train
from allaprima.paint.contract.base import TextStates

Method = Literal["turbo", "lcm", "add", "dmd"]
METHODS: tuple[Method, ...] = get_args(Method)
Arm = Literal["both", "adversarial", "distillation"]

RATES: dict[Method, float] = {"turbo": 1e-3, "lcm": 5e-4, "add": 3e-4, "dmd": 2e-4}
"""Learning rates for LoRAs on Vignette; networks a thousand times its size want a twentieth."""
_SENSITIVITY_BATCHES = 8
_TRAINED = ("checkpoint.safetensors", "best.safetensors", "exam.jsonl")


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
    rule: StepRule = "straight"
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
        if self.ranks not in {"pattern", "sensitivity"} and not (self.ranks.isdecimal() and int(self.ranks)):
            raise UserError(f"got ranks {self.ranks!r}; expected pattern, sensitivity or a number")
        if self.method == "turbo" and self.rule != "straight":
            raise UserError(
                f"got the rule {self.rule!r} for turbo; expected straight, which is what it learns"
            )
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
    main: bool = True
    """Whether this is the first of several processes, which is the one to tell."""


def choose_ranks(bench: TeacherSetup, settings: Settings, batch: int) -> LayerRanks:
    """The LoRA's rank at each site.

    Raises:
        UserError: the LoRA to start from is for other sites, or the budget is too small for any.
    """
    everywhere = find_target_modules(bench.network)
    sites = [site for site in everywhere if settings.where == "all" or site.text]
    if settings.start is not None:
        return ranks_of(settings.start, bench.family, [site.path for site in everywhere])
    if settings.ranks == "pattern":
        return pattern_ranks(sites)
    if settings.ranks == "sensitivity":
        budget = settings.parameters or num_parameters(everywhere, pattern_ranks(everywhere))
        student = Learners(bench.network, {STUDENT: {}})
        task = TurboTask(
            student=student,
            material=bench.material,
            steps=settings.steps,
            guidance=settings.guidance,
            teacher_steps=_teacher_steps(settings.steps),
            coupling=settings.coupling,
        )

        def loss(number: int) -> Tensor:
            generator = torch.Generator().manual_seed(seed_of(settings.seed, (1 << 40) + number))
            draw = Draw(step=number, batch_size=batch, device=student.device, generator=generator)
            return task.loss(student, draw)["loss"]

        found = measure_sensitivity(bench.network, sites, loss, batches=_SENSITIVITY_BATCHES)
        ranks = allot(sites, found, budget)
        if not ranks:
            raise UserError(f"got a budget of {budget} parameters; expected enough for rank 4 at one place")
        return ranks
    return uniform_ranks(sites, int(settings.ranks))


def distill(
    bench: TeacherSetup,
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
        UserError: a training is there without `resume`, or another one with it, or the method lacks what it learns
            from.
        OutputError: the folder cannot be written.
    """
    _check_material(bench, settings)
    config = replace(config, seed=settings.seed)
    state = PartialState(cpu=not torch.cuda.is_available())
    if state.is_main_process:
        _claim(config.folder, bench, settings, resume=resume)
    state.wait_for_everyone()
    # The first process writes ranks and exam, the others read them.
    with state.main_process_first():
        begun = (config.folder / "checkpoint.safetensors").exists()
        student = _enrol(bench, settings, config, read=begun or not state.is_main_process)
        keep = None if settings.whole else partial(_keep, _about(bench, settings))
        exam = prepare_validation(
            config.folder,
            student,
            bench.texts,
            bench.exam_prompts,
            bench.shape,
            ValidationSettings(
                steps=settings.steps,
                rule=settings.rule,
                guidance=settings.guidance,
                student_guidance=settings.guidance if settings.embedded else None,
            ),
            base_hash=bench.base_hash,
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
        main=state.is_main_process,
    )


def _check_material(bench: TeacherSetup, settings: Settings) -> None:
    """Refuse what the method cannot learn from, before the teacher is asked for anything."""
    draw = Draw(step=0, batch_size=1, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0))
    batch = bench.material.batch(draw)
    if settings.method != "dmd":
        batch.pictures()
    # The others take pictures from the teacher's ways, whatever its guidance was.
    follows = {"turbo": settings.coupling == "teacher", "dmd": settings.diversity > 0}
    if isinstance(bench.material, Trajectories) and follows.get(settings.method, False):
        batch.stops_per_step(settings.steps)
        if bench.material.guidance not in (None, settings.guidance):
            raise UserError(
                f"got paths of guidance {bench.material.guidance} and guidance {settings.guidance}; expected the same"
            )


def _claim(folder: Path, bench: TeacherSetup, settings: Settings, *, resume: bool) -> None:
    """Note in the folder what is trained there, unless that is something else already.

    Where a student begins is not compared: the checkpoint is where it has come to.
    """
    told = {
        **{name: value for name, value in asdict(settings).items() if name != "start"},
        "family": bench.family,
        "base_hash": bench.base_hash,
        "exam_prompts": len(bench.exam_prompts),
    }
    path = folder / "settings.json"
    begun = any((folder / name).exists() for name in _TRAINED)
    if begun and not resume:
        raise UserError(f"{folder} holds a training; add --resume to go on with it, or choose another folder")
    make_folder(folder)
    if begun and path.exists():
        try:
            before = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"cannot read {path}: {error}; expected the settings as they were written"
            ) from error
        odd = [name for name in told if before.get(name) != told[name]]
        if odd:
            raise UserError(
                f"{folder} holds a training with {odd[0]} {before.get(odd[0])}, and got {told[odd[0]]}; expected the "
                "options it was begun with, or another folder"
            )
    write_whole(path, (json.dumps(told, indent=1) + "\n").encode(), overwrite=True)


def _enrol(bench: TeacherSetup, settings: Settings, config: LoopConfig, *, read: bool) -> Learners:
    """The students that the method needs; their ranks are in `ranks.json`, where they are to be `read`."""
    learners: dict[str, LayerRanks | None] = {STUDENT: None}
    kept, everywhere = config.folder / "ranks.json", find_target_modules(bench.network)
    read = read and kept.exists()
    if not settings.whole:
        learners[STUDENT] = read_ranks(kept) if read else choose_ranks(bench, settings, config.batch_size)
    if settings.method == "dmd":
        # The fake network must follow the painter wherever it goes, so it may change everywhere.
        rank = max((learners[STUDENT] or {"": 16}).values())
        learners[FAKE] = None if settings.whole else uniform_ranks(everywhere, rank)
    width = 0
    if settings.embedded:
        embedder = bench.network.time_embedder
        linears = [one for one in embedder.modules() if isinstance(one, nn.Linear)]
        width = linears[-1].out_features
    student = Learners(bench.network, learners, guidance_width=width, seed=settings.seed)
    if settings.start is not None:
        begin_with(student, settings.start)
    if learners[STUDENT] and not read:
        write_ranks(kept, student.ranks[STUDENT], everywhere)
    return student


def _teacher_steps(steps: int) -> int:
    """The teacher's steps for the whole way, 48 or near it, with the student's levels among its own."""
    return 48 if 48 % steps == 0 else 12 * steps


def _about(bench: TeacherSetup, settings: Settings) -> StudentInfo:
    return StudentInfo(
        method=settings.method,
        family=bench.family,
        base_hash=bench.base_hash,
        steps=settings.steps,
        rule=settings.rule,
    )


def _keep(about: StudentInfo, student: Learners, folder: Path, step: int, score: float) -> None:
    write_student(folder / "best.safetensors", student, about, updates=step, score=score)


def _task(
    bench: TeacherSetup,
    settings: Settings,
    student: Learners,
    exam: Validation,
    features: ImageFeatures | None,
) -> tuple[nn.Module, TurnTask]:
    common = {"material": bench.material, "guidance": settings.guidance, "exam": exam}
    make: dict[Method, Callable[[], tuple[nn.Module, TurnTask]]] = {
        "turbo": lambda: (
            student,
            TurboTask(student=student, steps=settings.steps, teacher_steps=_teacher_steps(settings.steps),
                      penalty=settings.penalty, coupling=settings.coupling, **common),  # type: ignore[arg-type]
        ),
        "lcm": lambda: (
            student,
            LcmTask(student=student, guidance_range=(1.0, 2 * settings.guidance) if settings.embedded else None,
                    solver_steps=_teacher_steps(settings.steps), **common),  # type: ignore[arg-type]
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
    bench: TeacherSetup,
    settings: Settings,
    student: Learners,
    exam: Validation,
    features: ImageFeatures | None,
) -> tuple[nn.Module, TurnTask]:
    eyes: FeatureExtractor
    if settings.eyes == "pixel":
        if features is None:
            raise UserError("got --eyes pixel without an image network; expected one, or --eyes latent")
        eyes = PixelFeatures(bench.raw_decode, features.maps)
    else:
        count = len(bench.network.blocks)
        eyes = TeacherFeatures(sorted({count // 4, count // 2, 3 * count // 4, count - 1}))
    widths, text_width = _look_once(bench, student, eyes)
    duel = AdversarialModel(student, Discriminator(widths, text_width, seed=settings.seed))
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
def _look_once(bench: TeacherSetup, student: Learners, eyes: FeatureExtractor) -> tuple[list[int], int]:
    """How wide the critic's maps are, and the prompts' summary."""
    text: TextStates = to_device(bench.texts.empty(1), student.device)
    x = torch.zeros(1, *bench.shape, device=student.device)
    t = student.process.times(torch.full((1,), 0.5, device=student.device))
    maps = eyes.look(student, x, x, t, text)
    return [one.shape[1] for one in maps], summary(text).shape[1]
