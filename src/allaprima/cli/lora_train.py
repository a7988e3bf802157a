"""`prima lora train`: a person's pictures in, a LoRA of them out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from allaprima.cli.loop_options import SaveEvery, Threads, TrainingSeed, prepare
from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag, print_json, printable
from allaprima.cli.paint_options import LoraDir, ModelsDirs
from allaprima.core.infotext import parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allaprima.lab.lora.pictures import CaptionedPictures
    from allaprima.lab.lora.train import LoraSettings, TrainedLora

RUNS = "lora-training"
"""The folder of trainings beside the folder of LoRAs."""


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """What is learned from."""

    captions: Annotated[
        str | None,
        typer.Option(
            help="One text for all pictures, or a metadata.jsonl or meta.json as diffusers and kohya write them. "
            "Default: NAME.txt beside each picture, else the trigger word."
        ),
    ] = None
    trigger: Annotated[
        str | None, typer.Option(help="Word for what is learned, put in front of captions without it.")
    ] = None
    size: Annotated[
        str | None, typer.Option(help="Width x height that pictures are fitted to. Default: the base's own.")
    ] = None
    windows: Annotated[
        int, typer.Option(min=0, max=64, help="Views of each picture besides the whole, at random places.")
    ] = 3
    flip: Annotated[bool, typer.Option("--flip", help="Learn from every picture mirrored, too.")] = False
    dropout: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of captions that are left empty, for guidance.")
    ] = 0.1


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What learns, and how."""

    steps: Annotated[int, typer.Option(min=1, help="Updates in all, those before a resume counted in.")] = 500
    rank: Annotated[int, typer.Option(min=1, max=1024, help="Of the matrices.")] = 16
    alpha: Annotated[
        float | None,
        typer.Option(min=1e-3, max=1e4, help="The update counts alpha / rank times. Default: the rank."),
    ] = None
    targets: Annotated[
        Literal["attention", "all"],
        typer.Option(help="Layers of the network's blocks that learn: attention's projections, or all."),
    ] = "all"
    lr: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Learning rate. Default: 2e-4 for layers as wide as SDXL's, more for narrower ones."
        ),
    ] = None
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures per update.")] = 4
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Compute blocks twice, for a fraction of the memory.")
    ] = False
    start: Annotated[
        Path | None, typer.Option(help="Go on from this LoRA file, with its layers and ranks.")
    ] = None
    seed: TrainingSeed = 0
    threads: Threads = 0


@dataclass(frozen=True, kw_only=True)
class ResultOptions:
    """Where it goes, and what one sees on the way."""

    lora_dir: LoraDir = None
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o",
            help="Folder of the training: checkpoint, log, sample sheets. Default: lora-training/NAME beside the "
            "folder of LoRAs.",
        ),
    ] = None  # fmt: skip
    layout: Annotated[
        Literal["diffusers", "kohya"], typer.Option(help="Names of the tensors in the file.")
    ] = "diffusers"
    sample: Annotated[
        list[str] | None,
        typer.Option(help="Prompt of the sample sheets; may be given again. Default: the first caption."),
    ] = None
    sample_every: Annotated[
        int | None, typer.Option(min=0, help="Updates between samples; 0 for none. Default: four in all.")
    ] = None
    save_every: SaveEvery = 100
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in the folder.")] = False
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over a LoRA of this name and its training.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class BaseOptions:
    """What the LoRA is for."""

    base: Annotated[
        str,
        typer.Option(
            help="vignette, a model folder, a .safetensors file, a name in --models-dir or a hub id."
        ),
    ] = "vignette"
    models_dir: ModelsDirs = None
    weights: Annotated[
        Path | None, typer.Option(help="Folder of Vignette's weights. Default: those that ship.")
    ] = None


@spread_options
def train(
    name: Annotated[str, typer.Argument(help="What the LoRA is called.", show_default=False)],
    pictures: Annotated[
        list[Path], typer.Argument(help="Picture files, or folders of them.", show_default=False)
    ],
    learned: PictureOptions,
    training: TrainOptions,
    made_for: BaseOptions,
    result: ResultOptions,
    as_json: JsonFlag = False,
) -> None:
    """Train a LoRA of a person, a thing or a style from pictures."""
    target, run = _places(name, result, made_for.models_dir or ())
    size = None if learned.size is None else parse_size(learned.size)
    from allaprima.lab.lora.pictures import caption, find_pictures
    from allaprima.paint.bases.loading import load_base, locate

    locate(made_for.base, made_for.models_dir or ())
    captioned = caption(find_pictures(pictures), name=name, said=learned.captions, trigger=learned.trigger)
    from allaprima.lab.lora.remarks import remarks_on_training
    from allaprima.lab.lora.train import LoraSettings, train_lora
    from allaprima.paint.device.precision import pick_device

    settings = LoraSettings(
        name=name, steps=training.steps, rank=training.rank, alpha=training.alpha, targets=training.targets,
        learning_rate=training.lr, batch_size=training.batch_size, size=size, windows=learned.windows,
        flip=learned.flip, empty_share=learned.dropout, samples=tuple(result.sample or ()),
        sample_every=result.sample_every, save_every=result.save_every, checkpointing=training.checkpointing,
        layout=result.layout, start=training.start, seed=training.seed,
    )  # fmt: skip
    prepare(training.seed, training.threads)
    base = load_base(
        made_for.base, device=pick_device(), models_dirs=made_for.models_dir or (), weights=made_for.weights
    )
    remarks = (*captioned.remarks, *remarks_on_training(base, captioned.paths, settings))
    for remark in remarks:
        print(f"prima: {printable(remark)}", file=sys.stderr)
    trained = train_lora(
        base, captioned, settings, target=target, folder=run, weights=made_for.weights,
        mode="resume" if result.resume else "overwrite" if result.overwrite else "new",
    )  # fmt: skip
    if trained.main:
        _report(trained, settings, captioned, remarks, as_json)


def _places(name: str, result: ResultOptions, models_dirs: Sequence[Path]) -> tuple[Path, Path]:
    """Return the file to write and the folder of the training.

    Raises:
        LoraError: `name` is no name, the folder of LoRAs is not there, or the file is and is to stay.
    """
    from allaprima.core.errors import LoraError
    from allaprima.core.turbo import TURBOS
    from allaprima.paint.lora.files.folder import existing_folder
    from allaprima.paint.lora.files.locations import SUFFIX
    from allaprima.paint.lora.files.places import fault

    if wrong := fault(name):
        raise LoraError(f"got {name[:80]!r} for the LoRA, but {wrong}; expected a plain name, such as anna")
    if name in TURBOS:
        raise LoraError(f"got {name!r} for the LoRA, which every picture would wear; expected another name")
    folder = existing_folder(result.lora_dir, models_dirs)
    target = folder / f"{name}{SUFFIX}"
    if target.exists() and not result.overwrite:
        raise LoraError(f"{target} exists; add --overwrite to write over it, or choose another name")
    return target, result.output or folder.parent / RUNS / name


def _report(
    trained: TrainedLora,
    settings: LoraSettings,
    pictures: CaptionedPictures,
    remarks: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say where the LoRA is and how to wear it."""
    facts: dict[str, Any] = {
        "lora": str(trained.path),
        "run": str(trained.folder),
        "sheet": None if trained.sheet is None else str(trained.sheet),
        "name": settings.name,
        "trigger_words": list(pictures.trigger_words),
        "pictures": len(pictures.paths),
        "steps": trained.steps,
        "loss": trained.loss,
        "learning_rate": trained.learning_rate,
        "parameters": trained.parameters,
        "seconds": round(trained.seconds, 1),
        "remarks": list(remarks),
    }
    print(
        f"{trained.steps} updates from {len(pictures.paths)} pictures in {trained.seconds:.0f} s, loss {trained.loss}"
    )
    if trained.sheet is not None:
        print(trained.sheet)
    print(trained.path)
    if as_json:
        print_json(facts)
