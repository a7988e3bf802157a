"""The options that say what is done to a picture, for the commands that paint and that retouch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from allaprima.core.errors import RequestError
from allaprima.core.retouch import SHIPPED_UPSCALER, Operation, Upscale


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
            metavar="NAME|FILE", help="vignette, which ships, a weight file, or a name in --models-dir."
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


def operations_of(source: Path) -> tuple[Operation, ...]:
    """Return what was done to the picture file `source`, as it says."""
    from allaprima.core.picture_files import read_history
    from allaprima.core.picture_opening import read_picture_file

    return read_history(read_picture_file(source), str(source)).operations
