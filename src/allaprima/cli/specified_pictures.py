"""Painting what specifications say, the same prompts and seeds for each, into a folder for each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allaprima.cli.output import printable
from allaprima.core.errors import PictureError, RequestError
from allaprima.core.files import make_folder, slug, write_whole
from allaprima.core.picture_files import read_request
from allaprima.core.progress import progress_bar
from allaprima.core.specification import Specification
from allaprima.core.turbo import TURBOS

if TYPE_CHECKING:
    from allaprima.core.request import GenerationRequest
    from allaprima.paint.painter import Painter


@dataclass(frozen=True, kw_only=True)
class PictureOrders:
    """What every specification paints, and what it paints with where it does not say."""

    prompts: Sequence[str]
    seed: int
    """Of the first picture; the others follow."""
    loading: dict[str, Any]
    """Arguments of `Painter.load`."""


def paint_specified(specification: Specification, folder: Path, orders: PictureOrders) -> int:
    """Paint what is not there yet and return how many pictures that were.

    A picture is named after its number and prompt. One that is there stays if it was painted from the same request.
    What a request says and its picture does not honour is told on stderr.

    Raises:
        UserError: a value is out of range, a base or LoRA is not there, turbo is demanded and there is none.
        OutputError: the folder cannot be written.
    """
    from allaprima.paint.painter import Painter

    make_folder(folder)
    with Painter.load(**orders.loading | specification.loading) as painter:
        requests = _requests(painter, specification, orders)
        for remark in painter.remarks(requests[0]):
            print(f"prima: {printable(f'{specification.text}: {remark}')}", file=sys.stderr)
        digits = len(str(len(requests)))
        files = {
            folder / f"{number:0{digits}d}-{slug(request.prompt)}.png": request
            for number, request in enumerate(requests, 1)
        }
        missing = {path: request for path, request in files.items() if not _shows(path, request)}
        with progress_bar() as bar:
            task = bar.add_task(specification.text, total=len(missing))
            for path, request in missing.items():
                write_whole(path, painter.paint(request).encode("png"), overwrite=True)
                bar.advance(task)
    return len(missing)


def _requests(
    painter: Painter, specification: Specification, orders: PictureOrders
) -> list[GenerationRequest]:
    turbo = specification.turbo is not False
    requests = [
        painter.request(turbo=turbo, prompt=prompt, seed=orders.seed + number, **specification.fields)
        for number, prompt in enumerate(orders.prompts)
    ]
    if specification.turbo and not _wears_turbo(requests[0]):
        raise RequestError(
            f"got {specification.text[:80]!r}, and no turbo LoRA fits {painter.base.name}; expected one "
            "called turbo, or a public accelerator, in the folder of LoRAs"
        )
    return requests


def _wears_turbo(request: GenerationRequest) -> bool:
    from allaprima.paint.lora.files.accelerators import looks_accelerated

    return any(use.weight and (use.name in TURBOS or looks_accelerated(use.name)) for use in request.loras)


def _shows(path: Path, request: GenerationRequest) -> bool:
    """Return whether the file at `path` was painted from `request`."""
    try:
        return path.is_file() and read_request(path) == request
    except PictureError:
        return False
