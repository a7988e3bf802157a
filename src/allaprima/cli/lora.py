"""`prima lora`: what is in the folder of LoRAs, what a file holds, pickles made into safetensors, and training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.cli.lora_train import train
from allaprima.cli.output import JsonFlag, print_json, printable
from allaprima.cli.paint_options import LoraDir

if TYPE_CHECKING:
    from allaprima.paint.lora.files.folder import LoraFolder
    from allaprima.paint.lora.files.summary import LoraSummary

app = typer.Typer(
    no_args_is_help=True, help="LoRA files: list them, look into one, convert a pickle, train one."
)
app.command("train")(train)


@app.command("list")
def list_loras(lora_dir: LoraDir = None, as_json: JsonFlag = False) -> None:
    """List the LoRAs in the folder, what is wrong with those that cannot be used, and what is left out and why."""
    from allaprima.core.errors import LoraError
    from allaprima.paint.lora.files.summary import read_summary

    folder = _open_folder(lora_dir)
    rows: list[dict[str, Any]] = []
    for name in folder.names():
        try:
            file = folder.require(name)
            summary = read_summary(file.path)
            rows.append({"name": name, "shipped": file.shipped, **summary.to_json()})
            size, shipped = f"{summary.num_bytes / 1e6:.1f} MB", ", shipped" if file.shipped else ""
            known = f", {accelerated}" if (accelerated := summary.metadata.accelerator) else ""
            print(f"{name:<32}{summary.made_for}, rank {_ranks(summary)}, {size}{known}{shipped}")
        except LoraError as error:
            rows.append({"name": name, "problem": str(error)})
            print(f"{name:<32}cannot be used: {printable(str(error))}")
    left_out = [{"file": ascii_name(path), "why": why} for path, why in folder.left_out().items()]
    for entry in left_out:
        print(f"left out: {entry['file']}, for {entry['why']}")
    num_shipped = sum(row.get("shipped", False) for row in rows)
    besides = f", {num_shipped} shipped" if num_shipped else ""
    print(f"{len(rows) - num_shipped} in {printable(str(folder.path))}{besides}")
    if as_json:
        print_json({"folder": str(folder.path), "loras": rows, "left_out": left_out})


@app.command()
def inspect(
    lora: Annotated[str, typer.Argument(help="A name in the folder, or a file.", show_default=False)],
    lora_dir: LoraDir = None,
    as_json: JsonFlag = False,
) -> None:
    """Read a LoRA whole, check its numbers, and say what it is and what it was made for."""
    from allaprima.paint.lora.files.locations import weights_at
    from allaprima.paint.lora.files.summary import read_summary
    from allaprima.paint.lora.files.weight_file import read_weight_file

    path = weights_at(Path(lora)) if _is_path(lora) else _open_folder(lora_dir).require(lora).path
    summary = read_summary(path)
    file = read_weight_file(path)
    facts = summary.to_json() | {"digest": file.digest, "largest": max(file.peaks.values(), default=0.0)}
    for key, value in facts.items():
        if value not in (None, [], {}):
            print(f"{key.replace('_', ' ') + ':':<15}{printable(_words(value))}")
    if as_json:
        print_json(facts)


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="Pickled weights, or the folder they lie in.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write. Default: beside the source.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write over a file that is there.")] = False,
    lora_dir: LoraDir = None,
    as_json: JsonFlag = False,
) -> None:
    """Convert pickled weights to safetensors, in a process that loads tensors and nothing else."""
    from allaprima.paint.lora.files.folder import existing_folder
    from allaprima.paint.lora.files.unpickle import convert as convert_pickle

    inside = existing_folder(lora_dir) / source.name
    if not source.exists() and inside.is_dir():
        source = inside
    target = convert_pickle(source, output, overwrite=overwrite)
    print(printable(str(target)))
    if as_json:
        print_json({"source": str(source), "path": str(target)})


def _is_path(lora: str) -> bool:
    """Return whether a path is meant: who types a command may read any file, elsewhere only names count."""
    from allaprima.paint.lora.files.locations import PICKLES, SUFFIX

    path = Path(lora)
    known = path.suffix.lower() in {SUFFIX, *PICKLES}
    return path.name != lora or known or (path.suffix != "" and os.path.exists(lora))  # noqa: PTH110 (any name)


def ascii_name(path: Path) -> str:
    """Return the name of a file as a terminal and JSON can show it, whatever bytes it is made of."""
    return path.name if path.name.isprintable() else ascii(path.name)


def _open_folder(lora_dir: Path | None) -> LoraFolder:
    """Return the folder, with the LoRAs that ship behind it."""
    from allaprima.paint.bases.vignette.base import weights_folder
    from allaprima.paint.lora.files.folder import SHIPPED, LoraFolder, existing_folder

    return LoraFolder(existing_folder(lora_dir), behind=weights_folder() / SHIPPED)


def _ranks(summary: LoraSummary) -> str:
    return "-".join(map(str, sorted({min(summary.ranks), max(summary.ranks)}))) if summary.ranks else "none"


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} ({count})" for key, count in value.items())
    if isinstance(value, list):
        more = f" and {len(value) - 8} more" if len(value) > 8 else ""
        return ", ".join(map(str, value[:8])) + more
    return str(value)
