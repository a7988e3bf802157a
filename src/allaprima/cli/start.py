"""What `prima paint` starts from: the options about it, and what a file that is painted again says about it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from allaprima.cli.output import printable
from allaprima.cli.paint_options import StartOptions
from allaprima.core.errors import RequestError

if TYPE_CHECKING:
    from allaprima.core.starting_picture import StartingPicture


def open_start(options: StartOptions, source: Path | None) -> StartingPicture | None:
    """Return what is painted over, its files read and checked; None for painting on nothing.

    Args:
        options: those of the command line.
        source: a picture that is painted again. It holds no other picture, but says how strongly one was painted over
            and which sides were added; that is repeated over the picture that the options name. What it says and
            cannot be repeated is told on stderr.

    Raises:
        RequestError: options do not go together.
        PictureError: a file cannot be read as a picture.
    """
    strength, area = (None, None) if source is None else _read_start(source)
    if options.init is None:
        _refuse_without_init(options)
        if strength is not None:
            _tell(f"{_describe(source, strength, area)}, which it does not hold; words alone paint it now")
        return None
    from allaprima.core.starting_picture import StartingPicture

    outpaint = options.outpaint
    if area is not None and options.mask is None and outpaint is None:
        if "=" in area:
            outpaint = area
        else:
            _tell(
                f"{_describe(source, strength, area)}, whose mask it does not hold; all of it is painted now"
            )
    return StartingPicture.of(
        options.init, mask=options.mask, padding_px=options.padding, outpaint=outpaint, feather_px=options.feather,
        strength=_to_strength(strength) if options.strength is None else options.strength,
    )  # fmt: skip


def _read_start(source: Path) -> tuple[str | None, str | None]:
    from allaprima.core.picture_files import import_request

    imported = import_request(source)
    return imported.init_strength, imported.inpaint_area


def _refuse_without_init(options: StartOptions) -> None:
    given = [name for name, value in asdict(options).items() if value is not None]
    if given:
        raise RequestError(f"got --{given[0]} without --init; expected the picture to start from")


def _describe(source: Path | None, strength: str | None, area: str | None) -> str:
    part = {None: "", "Whole picture": "a part of ", "Only masked": "a part of "}.get(area, "the sides of ")
    return f"{source} was painted over {part}another picture (strength {(strength or '?')[:20]})"


def _to_strength(text: str | None) -> float | None:
    """Return the strength that a file says; None if it says none, or nonsense."""
    try:
        strength = float(text or "")
    except ValueError:
        return None
    return strength if 0.0 <= strength <= 1.0 else None


def _tell(message: str) -> None:
    print(f"prima: {printable(message)}", file=sys.stderr)
