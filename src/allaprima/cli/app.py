"""The command `prima`: joins the sub-commands and turns our errors into exit codes.

Each sub-command is a thin file of this package that holds a typer application named `app`. Its module is
imported when the command is asked for, so that `prima paint` does not wait for the laboratory's commands.

    $ prima paint "a cat on a rooftop at sunset"
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

import allaprima
from allaprima.cli.edge import StoppedError, as_our_errors, end_process, prepare_process, tell
from allaprima.cli.output import begin_line
from allaprima.cli.typed_paths import with_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "paint": "allaprima.cli.paint",
    "grid": "allaprima.cli.grid",
    "retouch": "allaprima.cli.retouch",
    "serve": "allaprima.cli.serve",
    "batch": "allaprima.cli.batch",
    "cluster": "allaprima.cli.cluster",
    "plan": "allaprima.cli.plan",
    "show": "allaprima.cli.show",
    "lora": "allaprima.cli.lora",
    "base": "allaprima.cli.base",
    "pull": "allaprima.cli.pull",
    "doctor": "allaprima.cli.doctor",
    "scenes": "allaprima.cli.scenes",
    "train": "allaprima.cli.train",
    "distill": "allaprima.cli.distill",
    "evaluate": "allaprima.cli.evaluate",
    "report": "allaprima.cli.report",
    "rate": "allaprima.cli.rate",
}
"""Command name to the module that holds its `app`, in the order of `prima --help`."""


class LazyGroup(TyperGroup):
    """A group of commands that imports a command's module when the command is looked up."""

    def make_context(self, *args: Any, **extra: Any) -> Any:  # noqa: D102 (typer's contract)
        with as_our_errors():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:  # noqa: D102 (typer's contract)
        with as_our_errors():
            return super().invoke(ctx)

    def list_commands(self, ctx: object) -> list[str]:
        """Return the names in the table's order."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> Any:  # noqa: D102 (typer's contract)
        del ctx
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            command = typer.main.get_command(import_module(COMMANDS[cmd_name]).app)
            command.name = cmd_name
            for one in getattr(command, "commands", {"": command}).values():
                one.callback = with_paths(one.callback)
            # Each application brings the options that install shell completion; that is for `prima` to offer.
            command.params = [
                option for option in command.params if not str(option.name).endswith("_completion")
            ]
            self.commands[cmd_name] = command
        return self.commands[cmd_name]


app = typer.Typer(cls=LazyGroup, name="prima", no_args_is_help=True, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"prima {allaprima.__version__}")
        raise typer.Exit


@app.callback()
def prima(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Paint little pictures from words, and make the models that paint them."""
    del version


def run(arguments: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit code; see `edge`.

    Errors are one sentence on stderr; with `--json` stdout still ends with a JSON line, which holds it too.
    """
    return _run(arguments)[0]


def _run(arguments: Sequence[str]) -> tuple[int, int | None]:
    """Return the exit code, and the signal that ended the command, if one did."""
    options = list(arguments)[: arguments.index("--")] if "--" in arguments else list(arguments)
    as_json, line = "--json" in options, begin_line()
    try:
        status = app(args=list(arguments), prog_name="prima", standalone_mode=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
        if as_json and not line.printed:  # --help and --version print what they print
            line.print({"version": allaprima.__version__})
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (the edge)
        told = StoppedError(error) if isinstance(error, KeyboardInterrupt) else error
        return tell(told, line, as_json=as_json), getattr(told, "ended_by", None)
    return status if isinstance(status, int) else 0, None


def main() -> None:
    """Run the command line that the process was started with: the entry point of `prima`."""
    prepare_process()
    end_process(*_run(sys.argv[1:]))
