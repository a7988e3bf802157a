"""`prima retouch`: picture files in, cut out, restyled or enlarged ones out."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag, note_finished, print_json
from allaprima.cli.paint_options import ContentCredentialsFiles, ModelsDirs
from allaprima.cli.retouch_options import OperationOptions, operations_of, place_painter
from allaprima.cli.targets import (
    OutputTarget,
    check_streams,
    check_transparency,
    place_targets,
    signed_targets,
)
from allaprima.core.errors import RequestError
from allaprima.core.picture_encoding import FileFormat
from allaprima.core.progress import progress_bar
from allaprima.core.retouch import NewBackground, Operation, operations_to_json

if TYPE_CHECKING:
    from allaprima.paint.retouch.retoucher import Retoucher
    from allaprima.paint.retouch.work import PlacePainter

app = typer.Typer()


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
    base: Annotated[
        str, typer.Option(metavar="NAME|FOLDER|FILE", help="What paints a new background.")
    ] = "vignette",
    models_dir: ModelsDirs = None,
    c2pa: ContentCredentialsFiles = None,
    as_json: JsonFlag = False,
) -> None:
    """Retouch pictures: cut out, put before another background, restyle, enlarge.

    What was done is written into the file beside the request that it was painted from.
    """
    operations = _choose(asked.operations(), source)
    targets = place_targets([f"{path.stem}-retouched" for path in file], output, file_format)
    targets = signed_targets(targets, c2pa)
    check_streams(targets, as_json=as_json)
    check_transparency(targets, operations)
    # Here, not above: torch takes seconds to import, and a mistake in the options should be reported at once.
    from allaprima.paint.retouch.retoucher import Retoucher
    from allaprima.paint.retouch.work import Workshop

    started = time.perf_counter()
    folders = tuple(models_dir or ())
    paints = any(isinstance(one, NewBackground) for one in operations)
    places = _load_place_painter(base, folders) if paints else None
    retoucher = Retoucher(Workshop(models_dirs=folders, places=places))
    retoucher.prepare(operations)
    paths = _retouch_all(retoucher, file, operations, targets)
    seconds = time.perf_counter() - started
    print(f"{seconds:.1f} s", file=sys.stderr)
    if as_json:
        print_json({
            "paths": [str(path) for path in paths],
            "retouch": operations_to_json(operations),
            "seconds": round(seconds, 3),
        })  # fmt: skip


def _load_place_painter(base: str, models_dirs: tuple[Path, ...]) -> PlacePainter:
    """Return the base called `base` as one who paints places."""
    from allaprima.paint.painter import Painter

    return place_painter(Painter.load(base, models_dirs=models_dirs))


def _choose(asked: tuple[Operation, ...], source: Path | None) -> tuple[Operation, ...]:
    """Return what is asked for, or what was done to the picture `source`: one of them, and something."""
    if asked and source is not None:
        raise RequestError(
            "got --from with operations beside it; expected one of them: --from does what was done to that picture"
        )
    if asked:
        return asked
    if source is None:
        raise RequestError("got nothing to do; expected an operation such as --upscale 2, or --from FILE")
    operations = operations_of(source)
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
