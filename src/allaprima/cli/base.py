"""`prima base`: what weight files are, before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.cli.output import JsonFlag, print_json, printable
from allaprima.cli.paint_options import ModelsDirs

if TYPE_CHECKING:
    from allaprima.paint.bases.inspection import Inspection

app = typer.Typer(help="Look at the files that bases are made of.", no_args_is_help=True)


@app.callback()
def base() -> None:
    """Look at the files that bases are made of."""


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A .safetensors or .gguf file, or its name in --models-dir.")],
    models_dir: ModelsDirs = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what a weight file is, by what is in it: kind, family, quantisation, size, and what is missing."""
    from allaprima.paint.bases.inspection import inspect_file

    found = inspect_file(file, models_dir or ())
    for key, value in _lines(found):
        print(f"{key + ':':<14} {printable(value)}")
    if as_json:
        print_json(found.to_json())


def _lines(found: Inspection) -> list[tuple[str, str]]:
    lines: list[tuple[str, Any]] = [
        ("kind", found.kind), ("what", found.name), ("family", ", ".join(found.families) or "none here"),
        ("weights", found.quantization), ("tensors", f"{found.num_tensors:,}"),
        ("size", f"{found.num_bytes / 1e9:,.2f} GB"),
        *((part, path) for part, path in found.parts.items()),
        ("missing", "; ".join(found.missing)), ("but", found.refusal),
    ]  # fmt: skip
    return [(key, str(value)) for key, value in lines if value]
