"""`prima retouch`: picture files in, enlarged ones out."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag, note_finished, print_json
from allaprima.cli.paint_options import ModelsDirs
from allaprima.cli.targets import OutputTarget, check_streams, place_targets
from allaprima.core.errors import RequestError
from allaprima.core.picture_encoding import FileFormat
from allaprima.core.progress import progress_bar
from allaprima.core.retouch import SHIPPED_UPSCALER, Operation, Upscale, operations_to_json

if TYPE_CHECKING:
    from allaprima.paint.retouch.retoucher import Retoucher

app = typer.Typer()


@dataclass(frozen=True, kw_only=True)
class OperationOptions:
    """What to do, in the order of these fields."""

    upscale: Annotated[
        float | None,
        typer.Option("--upscale", metavar="SCALE", help="So many times as many pixels a side, up to 8."),
    ] = None
    upscaler: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="The upscaler: vignette, which ships, or a weight file of yours."
        ),
    ] = None

    def operations(self) -> tuple[Operation, ...]:
        """Return what the options ask for.

        Raises:
            RequestError: a value is out of range, or an option asks for nothing.
        """
        if self.upscaler is not None and self.upscale is None:
            raise RequestError("got --upscaler without --upscale; expected both, such as --upscale 2")
        if self.upscale is None:
            return ()
        return (Upscale(scale=self.upscale, upscaler=self.upscaler or SHIPPED_UPSCALER),)


@app.command()
@spread_options
def retouch(
    file: Annotated[list[Path], typer.Argument(help="PNG, JPEG or WebP pictures.", show_default=False)],
    asked: OperationOptions,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Do what was done to this picture."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File or folder; by default NAME-retouched beside you."),
    ] = None,
    file_format: Annotated[FileFormat | None, typer.Option("--format", help="Default: png.")] = None,
    models_dir: ModelsDirs = None,
    as_json: JsonFlag = False,
) -> None:
    """Retouch pictures: enlarge them.

    What was done is written into the file beside the request that it was painted from.
    """
    operations = asked.operations() or _operations_of(source)
    targets = place_targets([f"{path.stem}-retouched" for path in file], output, file_format)
    check_streams(targets, as_json=as_json)
    # Here, not above: torch takes seconds to import, and a mistake in the options should be reported at once.
    from allaprima.paint.retouch.retoucher import Retoucher
    from allaprima.paint.retouch.work import Workshop

    started = time.perf_counter()
    retoucher = Retoucher(Workshop(models_dirs=tuple(models_dir or ())))
    paths = _retouch_all(retoucher, file, operations, targets)
    seconds = time.perf_counter() - started
    print(f"{seconds:.1f} s", file=sys.stderr)
    if as_json:
        print_json({
            "paths": [str(path) for path in paths],
            "retouch": operations_to_json(operations),
            "seconds": round(seconds, 3),
        })  # fmt: skip


def _operations_of(source: Path | None) -> tuple[Operation, ...]:
    """Return what was done to the picture `source`."""
    if source is None:
        raise RequestError("got nothing to do; expected an operation such as --upscale 2, or --from FILE")
    from allaprima.core.picture_files import read_history
    from allaprima.core.picture_opening import read_picture_file

    operations = read_history(read_picture_file(source), str(source)).operations
    if not operations:
        raise RequestError(f"{source} was not retouched; expected a picture that says what was done to it")
    return operations


def _retouch_all(
    retoucher: Retoucher, files: list[Path], operations: tuple[Operation, ...], targets: list[OutputTarget]
) -> list[Path]:
    """Retouch one file after the other, print where each result is, and return that."""
    paths = []
    with progress_bar() as bar:
        task = bar.add_task("retouching", total=100 * len(files))
        for number, (path, target) in enumerate(zip(files, targets, strict=True)):

            def show(share: float, before: int = 100 * number) -> None:
                bar.update(task, completed=before + round(100 * share))

            paths.append(target.write(retoucher(path, *operations, on_share=show)))
            note_finished(paths=[str(one) for one in paths])
            if not target.is_stdout:
                print(paths[-1])
    return paths
