"""`prima distill`: teach a base to paint in one to four steps, a sub-command per method."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from allaprima.cli.loop_options import Batch, Decay, SaveEvery, Threads, TrainingSeed
from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag, parse_duration, print_json
from allaprima.core.errors import UserError

if TYPE_CHECKING:
    import torch

    from allaprima.lab.distill.teacher import TeacherSetup
    from allaprima.lab.distill.train import Outcome
    from allaprima.paint.contract.base import Base

app = typer.Typer(
    name="distill",
    no_args_is_help=True,
    help="Distil a base: progress, held-out exams with sample grids, the best LoRA kept, resumable bit for bit.",
)

_ENDLESS = 1_000_000

StudentSteps = Annotated[int, typer.Option(min=1, max=16, help="Steps the student is to paint in.")]
TeacherGuidance = Annotated[
    float, typer.Option(min=1, max=30, help="The teacher's, which the student learns.")
]
SamplerOption = Annotated[
    Literal["euler", "lcm"],
    typer.Option(help="How the student steps: straight on, or with fresh noise after every step."),
]


@dataclass(frozen=True, kw_only=True)
class TeacherOptions:
    """The base, and what is learned from."""

    base: Annotated[str, typer.Option(help="The teacher: vignette, or a model's folder, file or id.")] = (
        "vignette"
    )
    weights: Annotated[
        Path | None, typer.Option(help="Folder of Vignette's weights. Default: those that ship.")
    ] = None
    cache: Annotated[
        list[Path] | None, typer.Option("--cache", help="Latent cache to learn from; several may be given.")
    ] = None
    prompts: Annotated[
        Path | None, typer.Option(help="Instead of caches: a file with a prompt per line.")
    ] = None
    exam: Annotated[int, typer.Option(min=2, help="Prompts held out for the exams.")] = 64
    threads: Threads = 0


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How long a training goes, and where to."""

    run: Annotated[Path, typer.Option(help="Folder of the training.")]
    paths: Annotated[
        Path | None,
        typer.Option(
            help="Learn from the teacher's paths in this folder, which `paths` filled: turbo and dmd --diversity "
            "from the ways, lcm and add from the pictures."
        ),
    ] = None
    budget: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration,
            metavar="TIME",
            help="Stop after so long, such as 30m, 2h or 90s, earlier runs counted in.",
        ),
    ] = None
    updates: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many updates, earlier runs counted in.")
    ] = None
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training in the folder, if there is one.")
    ] = False
    batch: Batch = 16
    rate: Annotated[
        float | None, typer.Option(min=0, help="Learning rate. Default: the method's own for Vignette.")
    ] = None
    decay: Decay = 0
    save_every: SaveEvery = 100
    sample_every: Annotated[
        int, typer.Option(min=1, help="Updates between exams, each with a grid and perhaps a new best.")
    ] = 200


@dataclass(frozen=True, kw_only=True)
class StudentOptions:
    """What every method's settings have."""

    steps: StudentSteps = 4
    guidance: TeacherGuidance = 4.0
    sites: Annotated[
        Literal["text", "all"], typer.Option(help="Where the LoRA sits: where text steers, or everywhere.")
    ] = "text"
    ranks: Annotated[
        str, typer.Option(help="Ranks of the LoRA: pattern (16/8/4), sensitivity, or one number for all.")
    ] = "pattern"
    parameters: Annotated[
        int, typer.Option(min=0, help="Budget of the sensitivity pass; 0 is what the pattern costs.")
    ] = 0
    whole: Annotated[bool, typer.Option("--whole", help="Train the whole network instead of a LoRA.")] = False
    start: Annotated[
        Path | None, typer.Option(help="Begin with this LoRA of another distillation, and with its ranks.")
    ] = None
    seed: TrainingSeed = 0


@app.command()
@spread_options
def turbo(
    training: TrainingOptions,
    teacher: TeacherOptions,
    student: StudentOptions,
    penalty: Annotated[float, typer.Option(min=0, help="Weight of the dissimilarity of early steps.")] = 1.0,
    coupling: Annotated[
        Literal["teacher", "data"], typer.Option(help="Follow the teacher, or the training pictures.")
    ] = "teacher",
    json_: JsonFlag = False,
) -> None:
    """Compress the teacher's steps by flow matching."""
    _train("turbo", training, teacher, student, json_, penalty=penalty, coupling=coupling)


@app.command()
@spread_options
def lcm(
    training: TrainingOptions,
    teacher: TeacherOptions,
    student: StudentOptions,
    sampler: SamplerOption = "lcm",
    embedded: Annotated[
        bool, typer.Option("--embedded", help="With --whole: tell the student the guidance.")
    ] = False,
    json_: JsonFlag = False,
) -> None:
    """Distil latent consistency."""
    _train("lcm", training, teacher, student, json_, sampler=sampler, embedded=embedded)


@app.command()
@spread_options
def add(
    training: TrainingOptions,
    teacher: TeacherOptions,
    student: StudentOptions,
    sampler: SamplerOption = "lcm",
    arm: Annotated[
        Literal["both", "adversarial", "distillation"], typer.Option(help="Which of the losses.")
    ] = "both",
    features: Annotated[
        Literal["latent", "pixel"],
        typer.Option(help="The discriminator sees the teacher's features, or those of pixels."),
    ] = "latent",
    json_: JsonFlag = False,
) -> None:
    """Distil against a discriminator."""
    _train("add", training, teacher, student, json_, sampler=sampler, arm=arm, features=features)


@app.command()
@spread_options
def dmd(
    training: TrainingOptions,
    teacher: TeacherOptions,
    student: StudentOptions,
    sampler: SamplerOption = "euler",
    diversity: Annotated[
        float, typer.Option(min=0, help="Weight of the first step's lesson (DP-DMD has 0.05).")
    ] = 0.0,
    fake_updates: Annotated[
        int, typer.Option(min=1, help="Updates of the fake network per update of the student.")
    ] = 5,
    json_: JsonFlag = False,
) -> None:
    """Match the distribution of the teacher's pictures."""
    own = {"sampler": sampler, "diversity": diversity, "fake_updates": fake_updates}
    _train("dmd", training, teacher, student, json_, **own)


@app.command()
@spread_options
def paths(
    run: Annotated[Path, typer.Option(help="Folder of the paths.")],
    teacher: TeacherOptions,
    steps: StudentSteps = 4,
    guidance: TeacherGuidance = 4.0,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 2000,
    teacher_steps: Annotated[
        int | None,
        typer.Option(min=1, help="The teacher's steps, a multiple of --steps. Default: 12 times those."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Paths that are walked at once.")] = 16,
    seed: TrainingSeed = 0,
    json_: JsonFlag = False,
) -> None:
    """Train nothing: walk the teacher's paths that turbo, lcm, add and dmd can learn from."""
    if teacher_steps is not None and teacher_steps % steps:
        raise UserError(f"got --teacher-steps {teacher_steps} and --steps {steps}; expected a multiple of it")
    setup, _ = _set_up(teacher)
    from accelerate import PartialState

    from allaprima.lab.distill.learners import Learners
    from allaprima.lab.distill.trajectories import TrajectorySettings, build_trajectories

    settings = TrajectorySettings(
        count=count, steps=teacher_steps or 12 * steps, stops=steps, guidance=guidance, seed=seed
    )
    build_trajectories(
        run, Learners(setup.network, {}), setup.texts, setup.shape, settings, last=setup.last, batch=batch,
        base_hash=setup.base_hash,
    )  # fmt: skip
    if not PartialState().is_main_process:
        return
    print(f"{count} paths in {run}")
    if json_:
        print_json({"paths": str(run), "count": count, "stops": steps})


def _train(
    method: str,
    training: TrainingOptions,
    teacher: TeacherOptions,
    student: StudentOptions,
    json_: bool,
    **own: Any,
) -> None:
    """Train a student by a method with options of its own."""
    if training.budget is None and training.updates is None:
        raise UserError("got neither --budget nor --updates; expected one, such as --budget 30m")
    from allaprima.lab.distill.methods.registry import METHODS
    from allaprima.lab.distill.train import distill
    from allaprima.lab.evaluation.features import ImageFeatures
    from allaprima.lab.training.loop import LoopConfig

    settings = METHODS[method](**asdict(student), **own)  # checked before anything is loaded
    setup, device = _set_up(teacher, training.paths)
    rate = settings.learning_rate if training.rate is None else training.rate
    config = LoopConfig(
        folder=training.run, steps=training.updates or _ENDLESS, batch_size=training.batch,
        learning_rate=rate, warmup_steps=20, decay_steps=training.decay, ema_decay=0.99, log_every=10,
        save_every=training.save_every, sample_every=training.sample_every, budget_s=training.budget,
    )  # fmt: skip
    features = ImageFeatures.load().to(device)
    outcome = distill(setup, settings, config, resume=training.resume, features=features)
    if outcome.main:
        _report(outcome, json_)


def _set_up(teacher: TeacherOptions, trajectories: Path | None = None) -> tuple[TeacherSetup, torch.device]:
    """Return the base as a teacher, and the device that it is on."""
    import torch

    from allaprima.lab.distill.networks import base_hash
    from allaprima.lab.distill.teacher import set_up_teacher
    from allaprima.paint.bases.loading import load_base
    from allaprima.paint.device.core_watch import watch_cores
    from allaprima.paint.device.precision import pick_device

    if teacher.threads:
        torch.set_num_threads(teacher.threads)
    watch_cores()
    torch.set_float32_matmul_precision("high")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # each of several processes has its own
    device = pick_device()
    base: Base = load_base(teacher.base, device=device, weights=teacher.weights)
    setup = set_up_teacher(
        base, base_hash(base, teacher.weights), caches=tuple(teacher.cache or ()), prompts=teacher.prompts,
        trajectories=trajectories, held_out=teacher.exam,
    )  # fmt: skip
    return setup, device


def _report(outcome: Outcome, json_: bool) -> None:
    from allaprima.lab.distill.validation import read_validations

    validations = read_validations(outcome.folder / "exam.jsonl")
    ranked = [validation for validation in validations if math.isfinite(validation["score"])]
    best = min(ranked, key=lambda validation: validation["score"], default=None)
    facts: dict[str, Any] = {
        "run": str(outcome.folder),
        "lora": None if outcome.lora is None else str(outcome.lora),
        "parameters": outcome.parameters,
        "updates": validations[-1]["step"] if validations else None,
        "best": best,
    }
    if best is not None:
        print(f"best exam: {best['score']:.4f} of the teacher's variance, after {best['step']} updates")
    print(outcome.lora or outcome.folder)
    if json_:
        print_json(facts)
