"""What every command says the same way: progress on stderr, results on stdout, JSON as the last line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

JsonFlag = Annotated[bool, typer.Option("--json", help="End stdout with one line of JSON.")]
"""The option `--json` as every command spells it."""


def print_json(data: Mapping[str, Any]) -> None:
    """Print `data` as one line on stdout; to be called last."""
    print(json.dumps(data, ensure_ascii=False, allow_nan=False), flush=True)


def progress_bar() -> Progress:
    """Return a bar on stderr for a with-block; shows nothing where no terminal looks on, leaves no trace."""
    # Here, not above: a command that shows no bar is not to wait for rich.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
