"""`prima distill`: teach a base to paint in one to four steps."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from allaprima.cli.output import JsonFlag, parse_duration, print_json
from allaprima.core.errors import UserError

if TYPE_CHECKING:
    import torch

    from allaprima.lab.distill.teacher import TeacherSetup
    from allaprima.lab.distill.train import Outcome
    from allaprima.lab.distill.trajectories import TrajectorySettings
    from allaprima.paint.contract.base import Base

app = typer.Typer()

_ENDLESS = 1_000_000
_DESCRIPTION = {
    "turbo": "step compression by flow matching",
    "lcm": "latent consistency",
    "add": "adversarial",
    "dmd": "distribution matching",
    "paths": "no training: walk the teacher's paths that turbo, lcm, add and dmd can learn from",
}


@app.command()
def distill(
    method: Annotated[
        Literal["turbo", "lcm", "add", "dmd", "paths"],
        typer.Argument(help="; ".join(f"{name}: {what}" for name, what in _DESCRIPTION.items()) + "."),
    ],
    run: Annotated[Path, typer.Option("--run", help="Folder of the training, or of the paths.")],
    base: Annotated[
        str, typer.Option(help="The teacher: vignette, or a model's folder, file or id.")
    ] = "vignette",
    weights: Annotated[
        Path | None, typer.Option(help="Folder of Vignette's weights. Default: those that ship.")
    ] = None,
    cache: Annotated[
        list[Path] | None, typer.Option("--cache", help="Latent cache to learn from; several may be given.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="Instead of caches: a file with a prompt per line.")
    ] = None,
    paths: Annotated[
        Path | None,
        typer.Option(
            help="Learn from the teacher's paths in this folder, which `paths` filled: turbo and dmd --diversity "
            "from the ways, lcm and add from the pictures."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=16, help="Steps the student is to paint in.")] = 4,
    guidance: Annotated[
        float, typer.Option(min=1, max=30, help="The teacher's, which the student learns.")
    ] = 4.0,
    budget: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration,
            metavar="TIME",
            help="Stop after so long, such as 30m, 2h or 90s, earlier runs counted in.",
        ),
    ] = None,
    updates: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many updates, earlier runs counted in.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training in the folder, if there is one.")
    ] = False,
    sites: Annotated[
        Literal["text", "all"], typer.Option(help="Where the LoRA sits: where text steers, or everywhere.")
    ] = "text",
    ranks: Annotated[
        str, typer.Option(help="Ranks of the LoRA: pattern (16/8/4), sensitivity, or one number for all.")
    ] = "pattern",
    parameters: Annotated[
        int, typer.Option(min=0, help="Budget of the sensitivity pass; 0 is what the pattern costs.")
    ] = 0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Train the whole network instead of a LoRA.")
    ] = False,
    rule: Annotated[
        Literal["straight", "renoise"] | None,
        typer.Option(
            help="How the student steps. Default: renoise for lcm and add, straight for the others."
        ),
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="lcm --whole: tell the student the guidance.")
    ] = False,
    penalty: Annotated[
        float, typer.Option(min=0, help="turbo: weight of the dissimilarity of early steps.")
    ] = 1.0,
    coupling: Annotated[
        Literal["teacher", "data"], typer.Option(help="turbo: follow the teacher, or the training pictures.")
    ] = "teacher",
    arm: Annotated[
        Literal["both", "adversarial", "distillation"], typer.Option(help="add: which of its losses.")
    ] = "both",
    eyes: Annotated[
        Literal["latent", "pixel"], typer.Option(help="add: the critic sees teacher's features, or pixels.")
    ] = "latent",
    diversity: Annotated[
        float, typer.Option(min=0, help="dmd: weight of the first step's lesson (DP-DMD has 0.05).")
    ] = 0.0,
    fake_updates: Annotated[
        int, typer.Option(min=1, help="dmd: updates of the fake network per update of the student.")
    ] = 5,
    start: Annotated[
        Path | None, typer.Option(help="Begin with this LoRA of another distillation, and with its ranks.")
    ] = None,
    decay: Annotated[
        int, typer.Option(min=0, help="The last so many updates bring the rate down to zero.")
    ] = 0,
    count: Annotated[int, typer.Option(min=1, help="paths: how many.")] = 2000,
    teacher_steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="paths: the teacher's steps, a multiple of --steps. Default: 12 times those."
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Samples per update.")] = 16,
    rate: Annotated[
        float | None, typer.Option(min=0, help="Learning rate. Default: the method's own for Vignette.")
    ] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Updates between checkpoints.")] = 100,
    sample_every: Annotated[
        int, typer.Option(min=1, help="Updates between exams, each with a grid and perhaps a new best.")
    ] = 200,
    exam: Annotated[int, typer.Option(min=2, help="Prompts held out for the exams.")] = 64,
    seed: Annotated[int, typer.Option(min=0, max=2**20 - 1, help="Of weights, order and noise.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="Processor threads; 0 leaves it to torch.")] = 0,
    json_: JsonFlag = False,
) -> None:
    """Distil a base: progress, held-out exams with sample grids, the best LoRA kept, resumable bit for bit."""
    if budget is None and updates is None and method != "paths":
        raise UserError("got neither --budget nor --updates; expected one, such as --budget 30m")
    if teacher_steps is not None and teacher_steps % steps:
        raise UserError(f"got --teacher-steps {teacher_steps} and --steps {steps}; expected a multiple of it")
    settings: dict[str, Any] = {
        "steps": steps, "guidance": guidance, "where": sites, "ranks": ranks, "parameters": parameters,
        "whole": whole, "rule": rule or ("renoise" if method in {"lcm", "add"} else "straight"), "embedded": embedded,
        "penalty": penalty, "coupling": coupling, "arm": arm, "eyes": eyes, "diversity": diversity,
        "fake_updates": fake_updates, "start": start, "seed": seed,
    }  # fmt: skip
    chosen = _settings(method, settings)
    bench, device = _bench(base, weights, cache, prompts, None if method == "paths" else paths, exam, threads)
    if chosen is None:
        from allaprima.lab.distill.trajectories import TrajectorySettings

        way = TrajectorySettings(
            count=count, steps=teacher_steps or 12 * steps, stops=steps, guidance=guidance, seed=seed
        )
        _build_paths(bench, run, way, batch, json_)
        return
    from allaprima.lab.distill.train import RATES
    from allaprima.lab.distill.train import distill as train
    from allaprima.lab.evaluation.features import ImageFeatures
    from allaprima.lab.training.loop import LoopConfig

    config = LoopConfig(
        folder=run,
        steps=updates or _ENDLESS,
        batch_size=batch,
        learning_rate=RATES[chosen.method] if rate is None else rate,
        warmup_steps=20,
        decay_steps=decay,
        ema_decay=0.99,
        log_every=10,
        save_every=save_every,
        sample_every=sample_every,
        budget_seconds=budget,
    )
    outcome = train(bench, chosen, config, resume=resume, features=ImageFeatures.load().to(device))
    if outcome.main:
        _report(outcome, json_)


def _settings(method: str, given: dict[str, Any]) -> Any:
    """The checked settings of a training, before anything is loaded; None for paths."""
    if method == "paths":
        return None
    from allaprima.lab.distill.train import Settings

    return Settings(method=method, **given)  # type: ignore[arg-type]


def _bench(
    spec: str,
    weights: Path | None,
    caches: list[Path] | None,
    prompts: Path | None,
    paths: Path | None,
    exam: int,
    threads: int,
) -> tuple[TeacherSetup, torch.device]:
    import torch

    from allaprima.lab.distill.teacher import base_hash, set_up_teacher
    from allaprima.paint.bases.loading import load_base
    from allaprima.paint.device.precision import pick_device

    if threads:
        torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # each of several processes has its own
    device = pick_device()
    base: Base = load_base(spec, device=device, weights=weights)
    found = set_up_teacher(
        base,
        base_hash(base, weights),
        caches=tuple(caches or ()),
        prompts=prompts,
        paths=paths,
        held_out=exam,
    )
    return found, device


def _build_paths(
    bench: TeacherSetup, folder: Path, settings: TrajectorySettings, batch: int, json_: bool
) -> None:
    from accelerate import PartialState

    from allaprima.lab.distill.learners import Learners
    from allaprima.lab.distill.trajectories import build_trajectories

    build_trajectories(
        folder,
        Learners(bench.network, {}),
        bench.texts,
        bench.shape,
        settings,
        last=bench.last,
        batch=batch,
        base_hash=bench.base_hash,
    )
    if not PartialState().is_main_process:
        return
    print(f"{settings.count} paths in {folder}")
    if json_:
        print_json({"paths": str(folder), "count": settings.count, "stops": settings.stops})


def _report(outcome: Outcome, json_: bool) -> None:
    from allaprima.lab.distill.validation import read_validations

    sat = read_validations(outcome.folder / "exam.jsonl")
    best = min(
        (one for one in sat if math.isfinite(one["score"])), key=lambda one: one["score"], default=None
    )
    facts: dict[str, Any] = {
        "run": str(outcome.folder),
        "lora": None if outcome.lora is None else str(outcome.lora),
        "parameters": outcome.parameters,
        "updates": sat[-1]["step"] if sat else None,
        "best": best,
    }
    if best is not None:
        print(f"best exam: {best['score']:.4f} of the teacher's variance, after {best['step']} updates")
    print(outcome.lora or outcome.folder)
    if json_:
        print_json(facts)
