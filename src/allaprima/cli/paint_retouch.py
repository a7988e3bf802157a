"""What `prima paint` does to its pictures afterwards."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allaprima.cli.output import printable
from allaprima.cli.retouch_options import OperationOptions, operations_of, place_painter
from allaprima.core.errors import RequestError
from allaprima.core.retouch import Operation, Repaint

if TYPE_CHECKING:
    from allaprima.core.picture import Picture
    from allaprima.core.retouched import RetouchedPicture
    from allaprima.paint.painter import Painter


@dataclass(frozen=True, kw_only=True)
class AfterwardsOptions:
    """What only a picture that was just painted can be asked for."""

    hires_strength: Annotated[
        float | None,
        typer.Option(
            metavar="S", help="Paint over what --upscale made, in its size: so much anew, more than 0 to 1."
        ),
    ] = None
    no_retouch: Annotated[
        bool,
        typer.Option("--no-retouch", help="Leave out what was done to the picture of --from afterwards."),
    ] = False

    def operations(self, asked: OperationOptions, source: Path | None) -> tuple[Operation, ...]:
        """Return what is to be done: what is asked for, or else what was done to `source`.

        Raises:
            RequestError: a value is out of range, or an option asks for nothing.
        """
        operations = asked.operations()
        if self.hires_strength is not None:
            if asked.upscale is None:
                raise RequestError(
                    "got --hires-strength without --upscale; expected both, such as --upscale 2"
                )
            operations = (*operations, Repaint(strength=self.hires_strength))
        if source is not None and not operations and not self.no_retouch:
            return operations_of(source)
        return operations


def paintable(operations: tuple[Operation, ...], painter: Painter) -> tuple[Operation, ...]:
    """Return the operations without those that the base cannot do, which are told on stderr."""
    if not painter.base.traits.fixed_size or not any(isinstance(one, Repaint) for one in operations):
        return operations
    said = f"{painter.base.name} paints one size only, so what is enlarged is not painted over"
    print(f"prima: {printable(said)}", file=sys.stderr)
    return tuple(one for one in operations if not isinstance(one, Repaint))


def retouching(
    operations: tuple[Operation, ...],
    painter: Painter,
    models_dirs: Sequence[Path],
    timings: dict[str, float],
) -> Callable[[Picture], RetouchedPicture]:
    """Return a function that does `operations` to a picture and adds its milliseconds to `timings`.

    What the operations need is found now, for nobody is to paint for an hour and then hear that it is missing.
    """
    from allaprima.paint.retouch.retoucher import Retoucher
    from allaprima.paint.retouch.work import Workshop

    places = place_painter(painter)
    retoucher = Retoucher(Workshop(models_dirs=tuple(models_dirs), places=places, painter=painter))
    retoucher.prepare(operations)
    timings["retouch"] = 0.0

    def finish(picture: Picture) -> RetouchedPicture:
        started = time.perf_counter()
        retouched = retoucher(picture, *operations)
        timings["retouch"] += (time.perf_counter() - started) * 1000.0
        return retouched

    return finish
