"""`prima grid`: one request with two or three of its fields varied, as one picture with its axes."""

from __future__ import annotations

import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag, check_memory, note_finished, print_json, printable
from allaprima.cli.paint import fields_of_options, import_source, load_painter, make_requests, take_off_turbo
from allaprima.cli.paint_options import LoadOptions, RequestOptions
from allaprima.core.errors import OutputError, UserError
from allaprima.core.events import Finished, Started, Step
from allaprima.core.files import check_target, free_path, slug, write_whole
from allaprima.core.grid import Axis, plan_cells
from allaprima.core.progress import progress_bar
from allaprima.core.request import GenerationRequest
from allaprima.core.wildcard_folder import WildcardFolder, existing_wildcards

if TYPE_CHECKING:
    from allaprima.core.picture import Picture
    from allaprima.paint.painter import Painter

app = typer.Typer()


@app.command()
@spread_options
def grid(
    asked: RequestOptions,
    load: LoadOptions,
    axis: Annotated[
        list[str],
        typer.Option(
            help="Field and values, such as seed=1..3, steps=1,2,4, lora:ink=0,0.5,1 or 'prompt=a cat; a dog': the "
            "first across, the second down, a third in blocks.",
            show_default=False,
        ),
    ],
    prompt: Annotated[str | None, typer.Argument(help="What to paint.", show_default=False)] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="PNG file to write. Default: a new file named after the prompt."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Paint each combination of some values side by side, with the axes written beside them."""
    axes = tuple(map(Axis.parse, axis))
    cells = plan_cells(axes)
    if asked.count != 1:
        raise UserError(f"got --count {asked.count}; expected an axis, such as --axis seed=1..{asked.count}")
    check_memory(load.memory)
    given = fields_of_options(asked, prompt)
    first = None if asked.source is None else import_source(asked.source).request
    wildcards = WildcardFolder(existing_wildcards(load.wildcard_dir, load.models_dir or ()))
    seed = asked.seed if asked.seed is not None else secrets.randbelow(2**32) if first is None else first.seed
    varied = [_change(given, axes, cell) for cell in cells]
    plans = [make_requests(one, first, one.pop("seed", seed), 1, wildcards.find)[0] for one in varied]
    path = _place(output, plans[0])

    started = time.perf_counter()
    from allaprima.core.grid_files import describe_grid
    from allaprima.core.grid_sheet import check_sheet

    largest = max(one.width for one in plans), max(one.height for one in plans)
    says_size = first is not None or any("width" in one for one in varied)
    painter = load_painter(asked, load, plans[0], first, largest if says_size else None)
    requests = [
        _complete(painter, plan, one, first, turbo=not asked.no_turbo)
        for plan, one in zip(plans, varied, strict=True)
    ]
    check_sheet(axes, (max(one.width for one in requests), max(one.height for one in requests)))
    describe_grid(axes, requests)
    remarks = list(dict.fromkeys(remark for one in requests for remark in painter.remarks(one)))
    for remark in remarks:
        print(f"prima: {printable(remark)}", file=sys.stderr)
    pictures: list[Picture] = []
    try:
        _paint(painter, requests, pictures)
    finally:  # what is painted before an interruption is not lost
        if pictures:
            path, size = _save(path, axes, requests, pictures, overwrite=output is not None)
            note_finished(path=str(path), painted=len(pictures))
            print(path)
    print(f"{len(pictures)} pictures; {time.perf_counter() - started:.1f} s", file=sys.stderr)
    if as_json:
        print_json({
            "path": str(path), "size": list(size), "axes": [one.to_json() for one in axes],
            "requests": [request.to_json() for request in requests], "remarks": remarks,
            "seconds": round(time.perf_counter() - started, 3),
        })  # fmt: skip


def _change(given: dict[str, Any], axes: tuple[Axis, ...], cell: tuple[Any, ...]) -> dict[str, Any]:
    for axis, value in zip(axes, cell, strict=True):
        given = axis.change(given, value)
    return given


def _place(output: Path | None, first: GenerationRequest) -> Path:
    """Return where the grid goes, and make sure that it can be written there."""
    if output is None or output.is_dir():
        path = free_path((output or Path()) / f"{slug(first.prompt)}-grid.png")
    else:
        path = output
    if path.suffix.lower() != ".png":
        raise OutputError(f"got the file name {path}; expected one that ends in .png, as a grid does")
    check_target(path)
    return path


def _complete(
    painter: Painter,
    plan: GenerationRequest,
    given: dict[str, Any],
    first: GenerationRequest | None,
    *,
    turbo: bool,
) -> GenerationRequest:
    if first is None:
        return painter.request(turbo=turbo, **given, seed=plan.seed)
    return plan if turbo else take_off_turbo(painter, plan, given)


def _paint(painter: Painter, requests: list[GenerationRequest], pictures: list[Picture]) -> None:
    """Paint `requests`, each appended to `pictures` as soon as it is done."""
    with progress_bar() as bar:
        task, rows = bar.add_task("painting", total=sum(request.steps for request in requests)), 1
        for event in painter.events(*requests):
            if isinstance(event, Started):
                rows = len(event.requests)
            elif isinstance(event, Step):
                bar.advance(task, rows)
            elif isinstance(event, Finished):
                pictures += event.pictures


def _save(
    path: Path,
    axes: tuple[Axis, ...],
    requests: list[GenerationRequest],
    pictures: list[Picture],
    *,
    overwrite: bool,
) -> tuple[Path, tuple[int, int]]:
    """Write the grid, with what is not painted left blank, and return where it is and its size."""
    from allaprima.core.grid_files import describe_grid, encode_grid
    from allaprima.core.grid_sheet import draw_sheet

    missing = [None] * (len(requests) - len(pictures))
    sheet = draw_sheet(axes, [*(picture.image for picture in pictures), *missing])
    for label in sheet.unshown:
        told = f"no font here has all letters of {label[:60]!r}; a package such as fonts-noto-cjk brings them"
        print(f"prima: {printable(told)}", file=sys.stderr)
    data = encode_grid(sheet.image, describe_grid(axes, [*requests[: len(pictures)], *missing]))
    return write_whole(path, data, overwrite=overwrite), sheet.image.size
