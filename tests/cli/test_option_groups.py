"""Groups of options: their fields are options like any other, and arrive as one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from allaprima.cli.option_groups import spread_options


@dataclass(frozen=True, kw_only=True)
class PlaceOptions:
    """Where."""

    folder: Annotated[Path, typer.Option(help="Where to.")]
    names: Annotated[list[str] | None, typer.Option("--name", help="Several.")] = None
    threads: Annotated[int, typer.Option(min=0, help="Threads.")] = 2


came: list[object] = []
app = typer.Typer()


@app.command()
@spread_options
def build(place: PlaceOptions, count: Annotated[int, typer.Option(help="How many.")] = 1) -> None:
    """Build it."""
    came[:] = [place, count]


def test_fields_are_options_with_their_types_and_defaults() -> None:
    ran = CliRunner().invoke(app, ["--folder", "there", "--name", "a", "--name", "b", "--count", "3"])
    assert ran.exit_code == 0, ran.output
    assert came == [PlaceOptions(folder=Path("there"), names=["a", "b"]), 3]


def test_help_names_them_and_says_what_the_command_does() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "Build it." in shown
    assert all(option in shown for option in ("--folder", "--name", "--threads", "--count"))


@pytest.mark.parametrize(
    "words", [[], ["--folder", "x", "--threads", "-1"], ["--folder", "x", "--place", "y"]]
)
def test_what_is_missing_wrong_or_unknown_is_refused(words: list[str]) -> None:
    assert CliRunner().invoke(app, words).exit_code == 2
