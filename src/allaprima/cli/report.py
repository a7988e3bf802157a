"""`prima report`: a report card of a LoRA or a base, as a page and as JSON."""

from __future__ import annotations

import hashlib
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag, check_memory, print_json, printable
from allaprima.cli.paint_options import LoadOptions
from allaprima.core.errors import AssetError, LoraError
from allaprima.core.files import make_folder
from allaprima.core.progress import work_progress
from allaprima.core.report_place import REPORTS
from allaprima.core.request import LoraUse
from allaprima.core.user_paths import expand, is_file, is_folder

if TYPE_CHECKING:
    from allaprima.lab.evaluation.card import CardTools
    from allaprima.paint.lora.files.folder import LoraFile

app = typer.Typer()

_RAW = (
    "ss_num_train_images",
    "ss_steps",
    "ss_epoch",
    "ss_learning_rate",
    "modelspec.date",
    "modelspec.author",
)
"""What files of other programs say of their training, if they do."""


@dataclass(frozen=True, kw_only=True)
class CardOptions:
    """What is painted for the card."""

    base: Annotated[str, typer.Option(help="Base that the LoRA is worn on.")] = "vignette"
    weight: Annotated[float, typer.Option(min=-10, max=10, help="How strongly the LoRA acts.")] = 1.0
    prompts: Annotated[int, typer.Option(min=9, max=10_000, help="Prompts to paint; more are surer.")] = 36
    judge: Annotated[
        Path | None,
        typer.Option("--judge", help="The judge's weights. Default: those that ship."),
    ] = None


@app.command()
@spread_options
def report(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="LORA|BASE",
            help="A LoRA (a name in --lora-dir, or a file) or a base (as in prima paint --base).",
            show_default=False,
        ),
    ],
    card: CardOptions,
    load: LoadOptions,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of reports, which the studio's shelf looks into.")
    ] = REPORTS,
    as_json: JsonFlag = False,
) -> None:
    """Paint a fixed set with a LoRA and without it, or with a base, and write what that comes to.

    The page, NAME.html, needs no other file.
    """
    check_memory(load.memory)
    lora = _find_lora(subject, load.lora_dir, load.models_dir or ())
    base = card.base if lora is not None else subject
    _check_base(base, load)
    make_folder(output)
    from allaprima.lab.evaluation.card import CardSubject, make_card
    from allaprima.lab.evaluation.card_page import write_card
    from allaprima.paint.painter import Painter

    use = None if lora is None else LoraUse(name=lora.name, weight=card.weight)
    folder = load.lora_dir if lora is None or lora.shipped or not _is_file(subject) else lora.path.parent
    with Painter.load(
        base, folder=load.weights, models_dirs=load.models_dir or (), text_encoder=load.text_encoder, vae=load.vae,
        lora_dir=folder, precision=load.precision, memory_gib=load.memory, quantize=load.quantize, cache=load.cache,
        loras=() if use is None else (use,),
    ) as painter:  # fmt: skip
        accelerators = () if painter.lora_manager is None else painter.lora_manager.folder.accelerators()
        about = CardSubject(
            name=painter.base.name if lora is None else lora.name, lora=use, accelerators=accelerators,
            facts=_facts_of_base(base, load) if lora is None else _facts_of_lora(lora),
        )  # fmt: skip
        with work_progress() as show:
            done = make_card(painter, about, _tools(card.judge), card.prompts, show)
    page, told = write_card(done, output, datetime.now().astimezone(), _house_style(), _machine())
    for remark in (*done.left_out, *done.remarks):
        print(f"prima: {printable(remark)}", file=sys.stderr)
    for row in done.rows:
        value = "-" if row.value is None else f"{row.value:.3f}"
        print(f"{row.name:40} {value:>10} {row.unit}")
    for broken, word in ((True, "broken"), (False, "mended")):
        if numbers := done.changed(broken=broken):
            print(f"{word}: {'; '.join(done.prompts[one] for one in numbers[:5])}")
    print(printable(str(page)))
    if as_json:
        print_json({**done.to_json(), "paths": {"html": str(page), "json": str(told)}})


def _is_file(subject: str) -> bool:
    return is_file(expand(Path(subject)))


def _find_lora(subject: str, lora_dir: Path | None, models_dirs: list[Path] | tuple[()]) -> LoraFile | None:
    """Return the LoRA that is meant; None if it is a base."""
    from allaprima.paint.bases.vignette.base import weights_folder
    from allaprima.paint.lora.files.folder import SHIPPED, LoraFolder, existing_folder
    from allaprima.paint.lora.files.summary import read_summary

    if _is_file(subject):
        path = expand(Path(subject))
        try:
            read_summary(path)
        except LoraError:
            return None  # whatever is wrong with it is told when it is opened as a base
        return LoraFolder(path.parent).require(path.stem)
    folder = LoraFolder(existing_folder(lora_dir, models_dirs), behind=weights_folder() / SHIPPED)
    try:
        return folder.find(subject)
    except LoraError:
        if is_folder(expand(Path(subject))):
            return None
        raise


def _check_base(base: str, load: LoadOptions) -> None:
    """Refuse a base that is not there, before anything is imported that takes time."""
    from allaprima.paint.bases.files.parts import NamedParts
    from allaprima.paint.bases.loading import locate

    locate(base, load.models_dir or (), NamedParts(text_encoder=load.text_encoder, vae=load.vae))


def _tools(judge: Path | None) -> CardTools:
    """Load what there is to look with; a judge that was asked for must be there."""
    from allaprima.lab.evaluation.card import CardTools
    from allaprima.lab.evaluation.features import ImageFeatures
    from allaprima.lab.evaluation.judge import default_judge_path, load_judge

    network, accuracy = None, dict[str, float]()
    if judge is not None or default_judge_path().is_file():
        network, accuracy = load_judge(judge)
    features = None
    with suppress(AssetError):
        features = ImageFeatures.load()
    return CardTools(judge=network, accuracy=accuracy, features=features)


def _facts_of_lora(lora: LoraFile) -> dict[str, Any]:
    """Return what a LoRA's file is and says, its hashes first."""
    from allaprima.paint.lora.files.summary import read_summary
    from allaprima.paint.lora.files.tensor_hash import tensor_hash

    summary = read_summary(lora.path)
    said = {key: summary.metadata.raw[key] for key in _RAW if key in summary.metadata.raw}
    facts = {name: value for name, value in summary.to_json().items() if name not in ("path", "unknown_keys")}
    layers = sum(summary.ranks.values())
    hashes = {"sha256": _sha256(lora.path), "hash": tensor_hash(lora.path)}
    return {**hashes, "layers": layers, **facts, **said, "shipped": lora.shipped or None}


def _facts_of_base(base: str, load: LoadOptions) -> dict[str, Any]:
    """Return the files of a base and their hashes, where it lies in files that are few."""
    from allaprima.paint.bases.files.parts import NamedParts
    from allaprima.paint.bases.loading import locate

    located = locate(base, load.models_dir or (), NamedParts(text_encoder=load.text_encoder, vae=load.vae))
    facts: dict[str, Any] = {"family": located.family}
    weights = located.weights_folder(load.weights)
    paths = sorted(weights.glob("*.safetensors")) if weights is not None else []
    if located.path is not None and located.path.is_file():
        paths = [located.path]
    paths = list(located.parts.values()) or paths
    facts["bytes"] = sum(path.stat().st_size for path in paths) or None
    return {**facts, **{f"sha256 of {path.name}": _sha256(path) for path in paths}}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _house_style() -> str:
    """Return the studio's colours, type and controls: a report looks like the page that links it."""
    import allaprima

    return (Path(allaprima.__path__[0]) / "studio/server/static/base.css").read_text(encoding="utf-8")


def _machine() -> str:
    """Return the processor or GPU and the version of torch, in words."""
    import torch

    from allaprima.paint.device.precision import pick_device

    device = pick_device(None)
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{platform.machine()} processor, {torch.get_num_threads()} threads"
    return f"{name}, torch {torch.__version__}"
