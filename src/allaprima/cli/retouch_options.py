"""The options that say what is done to a picture, for the commands that paint and that retouch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allaprima.core.errors import RequestError
from allaprima.core.retouch import (
    SHIPPED_FINDER,
    SHIPPED_UPSCALER,
    STYLE_NAMES,
    CutOut,
    Deblock,
    NewBackground,
    Operation,
    Restyle,
    Upscale,
)

if TYPE_CHECKING:
    from allaprima.paint.painter import Painter
    from allaprima.paint.retouch.work import PlacePainter


@dataclass(frozen=True, kw_only=True)
class OperationOptions:
    """What to do, in this order: take blocks away, cut out or exchange the background, restyle, upscale."""

    deblock: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take away what few steps leave, with a network that `prima train deblock` made.",
        ),
    ] = None
    cut_out: Annotated[
        bool, typer.Option("--cut-out", help="Leave the subject alone; what is behind it turns transparent.")
    ] = False
    background: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="Put the subject before another background, painted from words."),
    ] = None
    background_seed: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Another seed, another view of that place. Default: 0."),
    ] = None
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
    style_strength: Annotated[
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
        return (*self._blocks(), *self._subject(), *self._style(), *self._size())

    def _blocks(self) -> tuple[Operation, ...]:
        return () if self.deblock is None else (Deblock(network=str(self.deblock)),)

    def _subject(self) -> tuple[Operation, ...]:
        asks = self.cut_out or self.background is not None
        if not asks and (self.finder is not None or self.point or self.box is not None):
            raise RequestError(
                "got --finder, --point or --box alone; expected them with --cut-out or --background"
            )
        if self.background is None and self.background_seed is not None:
            raise RequestError("got --background-seed without --background; expected words for the place too")
        if self.cut_out and self.background is not None:
            raise RequestError("got --cut-out with --background, which cuts out too; expected one of them")
        subject = CutOut(
            finder=SHIPPED_FINDER if self.finder is None else self.finder,
            points=tuple((x, y) for x, y in (_numbers("--point", one, 2) for one in self.point or ())),
            box=None if self.box is None else _to_box(_numbers("--box", self.box, 4)),
        )
        if self.background is not None:
            return (NewBackground(prompt=self.background, seed=self.background_seed or 0, subject=subject),)
        return (subject,) if asks else ()

    def _style(self) -> tuple[Operation, ...]:
        if self.restyle is None:
            if self.style_strength is not None:
                raise RequestError(
                    "got --style-strength without --restyle; expected both, such as --restyle flat"
                )
            return ()
        return (
            Restyle(style=self.restyle, strength=1.0 if self.style_strength is None else self.style_strength),
        )

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


def operations_of(source: Path) -> tuple[Operation, ...]:
    """Return what was done to the picture file `source`, as it says."""
    from allaprima.core.picture_files import read_history
    from allaprima.core.picture_opening import read_picture_file

    return read_history(read_picture_file(source), str(source)).operations


def place_painter(painter: Painter) -> PlacePainter:
    """Return a painter as one who paints new backgrounds."""
    from allaprima.paint.retouch.work import PlacePainter

    return PlacePainter(
        paint=lambda prompt, seed: painter(prompt, seed=seed).image, prompt=painter.base.traits.place_prompt
    )
