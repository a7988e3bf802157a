"""`prima retouch`: picture files in, cut out, restyled or enlarged ones out."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag, print_json
from allaprima.cli.paint_options import ModelsDirs
from allaprima.cli.targets import OutputTarget, place_targets
from allaprima.core.errors import RequestError
from allaprima.core.picture_encoding import FileFormat
from allaprima.core.progress import progress_bar
from allaprima.core.retouch import (
    SHIPPED_FINDER,
    SHIPPED_UPSCALER,
    STYLE_NAMES,
    CutOut,
    NewBackground,
    Operation,
    Restyle,
    Upscale,
    operations_to_json,
)

if TYPE_CHECKING:
    from allaprima.paint.retouch.retoucher import Retoucher
    from allaprima.paint.retouch.work import PlacePainter

app = typer.Typer()


@dataclass(frozen=True, kw_only=True)
class OperationOptions:
    """What to do, in this order: cut out or exchange the background, restyle, upscale."""

    cut_out: Annotated[
        bool, typer.Option("--cut-out", help="Leave the subject alone; what is behind it turns transparent.")
    ] = False
    background: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="Put the subject before another background, painted from words."),
    ] = None
    background_seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Another seed, another view of that place.")
    ] = 0
    finder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="What finds the subject: vignette, which ships, or weights of yours."
        ),
    ] = None
    point: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y", help="A pixel of the subject, for a SAM; several may be given."),
    ] = None
    box: Annotated[
        str | None, typer.Option(metavar="L,T,R,B", help="A box around the subject in pixels, for a SAM.")
    ] = None
    restyle: Annotated[
        str | None,
        typer.Option(
            metavar="STYLE|FILE",
            help=f"Repaint it in a style: {', '.join(STYLE_NAMES)}, or that of a picture.",
        ),
    ] = None
    strength: Annotated[
        float | None, typer.Option(metavar="S", help="How far to go there, 0 to 1. Default: 1.")
    ] = None
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
        return (*self._subject(), *self._style(), *self._size())

    def _subject(self) -> tuple[Operation, ...]:
        asks = self.cut_out or self.background is not None
        if not asks and (self.finder is not None or self.point or self.box is not None):
            raise RequestError(
                "got --finder, --point or --box alone; expected them with --cut-out or --background"
            )
        if self.cut_out and self.background is not None:
            raise RequestError("got --cut-out with --background, which cuts out too; expected one of them")
        subject = CutOut(
            finder=SHIPPED_FINDER if self.finder is None else self.finder,
            points=tuple((x, y) for x, y in (_numbers("--point", one, 2) for one in self.point or ())),
            box=None if self.box is None else _to_box(_numbers("--box", self.box, 4)),
        )
        if self.background is not None:
            return (NewBackground(prompt=self.background, seed=self.background_seed, subject=subject),)
        return (subject,) if asks else ()

    def _style(self) -> tuple[Operation, ...]:
        if self.restyle is None:
            if self.strength is not None:
                raise RequestError("got --strength without --restyle; expected both, such as --restyle flat")
            return ()
        return (Restyle(style=self.restyle, strength=1.0 if self.strength is None else self.strength),)

    def _size(self) -> tuple[Operation, ...]:
        if self.upscale is None:
            if self.upscaler is not None:
                raise RequestError("got --upscaler without --upscale; expected both, such as --upscale 2")
            return ()
        return (Upscale(scale=self.upscale, upscaler=self.upscaler or SHIPPED_UPSCALER),)


def _numbers(option: str, text: str, count: int) -> tuple[float, ...]:
    """Return the numbers in a text such as 10,20."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        example = ",".join(map(str, (10, 20, 200, 220)[:count]))
        raise RequestError(f"got {option} {text[:40]!r}; expected {count} numbers, such as {example}")
    return numbers


def _to_box(numbers: tuple[float, ...]) -> tuple[float, float, float, float]:
    left, top, right, bottom = numbers
    return left, top, right, bottom


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
    as_json: JsonFlag = False,
) -> None:
    """Retouch pictures: cut out, put before another background, restyle, enlarge.

    What was done is written into the file beside the request that it was painted from.
    """
    operations = asked.operations() or _operations_of(source)
    targets = place_targets([f"{path.stem}-retouched" for path in file], output, file_format)
    # Here, not above: torch takes seconds to import, and a mistake in the options should be reported at once.
    from allaprima.paint.retouch.retoucher import Retoucher
    from allaprima.paint.retouch.work import Workshop

    started = time.perf_counter()
    folders = tuple(models_dir or ())
    paints = any(isinstance(one, NewBackground) for one in operations)
    places = _load_place_painter(base, folders) if paints else None
    retoucher = Retoucher(Workshop(models_dirs=folders, places=places))
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
    from allaprima.paint.retouch.work import PlacePainter

    painter = Painter.load(base, models_dirs=models_dirs)
    return PlacePainter(
        paint=lambda prompt, seed: painter(prompt, seed=seed).image, prompt=painter.base.traits.place_prompt
    )


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
            print(paths[-1])
    return paths
