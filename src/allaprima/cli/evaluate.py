"""`prima evaluate`: how well a base paints what it is asked for, and how well the judge sees."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.cli.evaluate_deblock import deblock
from allaprima.cli.evaluate_pictures import pictures
from allaprima.cli.evaluate_retouch import retouch
from allaprima.cli.output import JsonFlag, print_json
from allaprima.core.errors import AssetError, UserError
from allaprima.core.files import make_folder
from allaprima.core.progress import work_progress

if TYPE_CHECKING:
    from allaprima.lab.evaluation.distill import Tools
    from allaprima.lab.evaluation.report_files import Report

app = typer.Typer(
    no_args_is_help=True, help="Measure a base, its pictures, retouching, or the judge that measures."
)
app.command()(pictures)
app.command()(deblock)
app.command()(retouch)

JudgeOption = Annotated[
    Path | None, typer.Option("--judge", help="The judge's weights. Default: those that ship.")
]
WeightsOption = Annotated[
    Path | None, typer.Option(help="Folder with the base's weights. Default: those that ship.")
]


@app.command()
def vignette(
    prompts: Annotated[
        int, typer.Option(min=9, max=100_000, help="How many prompts in all; fewer are a quick look.")
    ] = 1000,
    seed: Annotated[
        int, typer.Option(min=0, max=1000, help="Moves all prompts; published figures are those of 0.")
    ] = 0,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Sampler steps.")] = 50,
    guidance: Annotated[
        float, typer.Option(min=0, max=30, help="Classifier-free guidance; 1 takes the prompt alone.")
    ] = 4.0,
    batch: Annotated[int, typer.Option(min=1, max=1024, help="Pictures that are painted at once.")] = 16,
    scenes: Annotated[
        int, typer.Option(min=0, help="Scenes the autoencoder is measured on; 0 leaves it out.")
    ] = 500,
    weights: WeightsOption = None,
    judge: JudgeOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("benchmarks/results"),
    as_json: JsonFlag = False,
) -> None:
    """Paint fixed prompts, let the judge look, and write a report as Markdown, HTML and JSON."""
    # Here, not above: torch takes seconds to import, and a mistake in the options is to be told at once.
    from allaprima.lab.evaluation.judge import load_judge
    from allaprima.lab.evaluation.painting import PaintSettings
    from allaprima.lab.evaluation.report import write_report
    from allaprima.lab.evaluation.report_files import format_value
    from allaprima.lab.evaluation.vignette import EvaluationSettings, evaluate_vignette
    from allaprima.paint.bases.vignette.base import load_vignette
    from allaprima.paint.device.precision import pick_device

    make_folder(out)
    network, accuracy = load_judge(judge)
    base = load_vignette(weights, pick_device(None))
    settings = EvaluationSettings(
        prompts=prompts,
        seed=seed,
        paint=PaintSettings(steps=steps, guidance=guidance, batch=batch),
        autoencoder_scenes=scenes,
        judged_scenes=min(scenes, EvaluationSettings.judged_scenes),
    )
    autoencoder = base.autoencoder if scenes else None
    with work_progress() as show:
        evaluation = evaluate_vignette(
            base, network, accuracy, autoencoder=autoencoder, settings=settings, on_progress=show
        )
    report = write_report(evaluation, out, datetime.now().astimezone())
    for row in evaluation.rows:
        print(f"{row.name:34} {format_value(row.value, row.unit):>14}  {row.state}")
    _tell(report, evaluation.to_json() if as_json else None)


@app.command("judge")
def measure(
    scenes: Annotated[int, typer.Option(min=1, help="Rendered scenes to show it.")] = 1000,
    judge: JudgeOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the judge rendered scenes it has never seen and tell how often it is right."""
    from allaprima.lab.evaluation.accuracy import measure_judge, reported, unseen_scenes
    from allaprima.lab.evaluation.intervals import wilson_interval
    from allaprima.lab.evaluation.judge import load_judge
    from allaprima.lab.scenes.sprites import SpriteCache

    network, _ = load_judge(judge)
    with work_progress() as on_progress:
        tallies = measure_judge(
            network,
            unseen_scenes(scenes),
            SpriteCache(),
            on_progress=lambda done: on_progress("judging", done, scenes),
        )
    heard = reported({name: tally.rate for name, tally in tallies.items()})
    rows = []
    for name, tally in tallies.items():
        low, high = wilson_interval(tally.right, tally.total)
        rows.append({"attribute": name, "rate": tally.rate, "low": low, "high": high, "total": tally.total})
        remark = "" if name in heard else "not reported"
        print(f"{name:10} {tally.rate:7.2%}  ({low:.2%} to {high:.2%})  {remark}")
    if as_json:
        print_json({"rows": rows, "scenes": scenes})


@app.command()
def distill(
    student: Annotated[
        list[str] | None,
        typer.Option(
            "--student",
            help="NAME=FILE of a LoRA; several may be given, and equal names are trainings with other seeds. "
            "The names rank16, uniform and sensitivity are compared with the others as the report says.",
        ),
    ] = None,
    turbo: Annotated[str, typer.Option(help="Name of the student that is to paint in 4 steps.")] = "turbo",
    one: Annotated[str | None, typer.Option(help="Name of the one for 1 step. Default: the same.")] = None,
    prompts: Annotated[int, typer.Option(min=9, max=100_000, help="Prompts in all.")] = 500,
    seed: Annotated[int, typer.Option(min=0, max=1000, help="Moves all prompts.")] = 0,
    guidance: Annotated[float, typer.Option(min=1, max=30, help="The base's.")] = 4.0,
    reals: Annotated[
        int, typer.Option(min=0, help="Rendered scenes for the Frechet distance; 0 leaves it out.")
    ] = 500,
    batch: Annotated[int, typer.Option(min=1, max=1024, help="Pictures that are painted at once.")] = 16,
    weights: WeightsOption = None,
    judge: JudgeOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("benchmarks/results"),
    as_json: JsonFlag = False,
) -> None:
    """Compare distilled students with their teacher, and write a report as Markdown, HTML and JSON."""
    from allaprima.lab.distill.networks import base_hash
    from allaprima.lab.evaluation.distill import DistillSettings, compare_students
    from allaprima.lab.evaluation.distill_report import aim_rows, to_json, to_markdown, write_distill_report
    from allaprima.paint.bases.vignette.base import load_vignette
    from allaprima.paint.device.precision import pick_device

    students = [_named_file(text) for text in student or ()]
    make_folder(out)
    base = load_vignette(weights, pick_device(None))
    settings = DistillSettings(prompts=prompts, seed=seed, guidance=guidance, reals=reals, batch=batch)
    when = datetime.now().astimezone()
    with work_progress() as on_progress:
        comparison = compare_students(
            base, students, _tools(judge), settings, on_progress, base_hash=base_hash(base, weights)
        )
    rows = aim_rows(comparison, turbo, one or turbo)
    report = write_distill_report(comparison, rows, out, when)
    print(to_markdown(comparison, rows, when))
    _tell(report, to_json(comparison, rows) if as_json else None)


def _tell(report: Report, facts: dict[str, Any] | None) -> None:
    """Print where the report is, and the `facts` that were asked for."""
    print(report.html)
    if facts is not None:
        print_json({**facts, "paths": {name: str(path) for name, path in vars(report).items()}})


def _named_file(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not name or not Path(path).is_file():
        raise UserError(f"got --student {text[:200]!r}; expected NAME=FILE with the file of a LoRA")
    return name, Path(path)


def _tools(judge: Path | None) -> Tools:
    """Load what there is to measure with; a judge that was asked for must be there."""
    from allaprima.lab.evaluation.distill import Tools
    from allaprima.lab.evaluation.features import ImageFeatures
    from allaprima.lab.evaluation.judge import default_judge_path, load_judge
    from allaprima.lab.scenes.sprites import SpriteCache

    network, accuracy = None, dict[str, float]()
    if judge is not None or default_judge_path().is_file():
        network, accuracy = load_judge(judge)
    try:
        features = ImageFeatures.load()
    except AssetError:
        features = None
    return Tools(judge=network, accuracy=accuracy, features=features, sprites=SpriteCache())
