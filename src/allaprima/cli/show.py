"""`prima show`: the requests that picture files carry."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.cli.output import JsonFlag, note_finished, print_json, printable
from allaprima.core.errors import PictureError
from allaprima.core.infotext import ImportedRequest
from allaprima.core.layout_json import painted_to_json

if TYPE_CHECKING:
    from allaprima.core.grid_files import GridRecord

app = typer.Typer()


@app.command()
def show(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", help="Pictures: PNG, JPEG, WebP, AVIF, GIF or TIFF.", show_default=False
        ),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Show what pictures were painted from.

    Reads what this program and, as far as it goes, what other programs write into their pictures.
    """
    from allaprima.core.picture_files import import_request

    shown: list[dict[str, Any]] = []
    problems: list[PictureError] = []
    for number, file in enumerate(files):
        if len(files) > 1:
            print(f"{chr(10) if number else ''}{printable(str(file))}")
        try:
            imported = import_request(file)
        except PictureError as error:
            if (grid := _find_grid(file)) is not None:
                _print_grid(grid)
                shown.append({"path": str(file), "grid": grid.to_json()})
                continue
            problems.append(error)
            shown.append({"path": str(file), "error": str(error)})
            if len(files) > 1:
                print(f"prima: {printable(str(error))}", file=sys.stderr)
            continue
        _print_request(imported)
        shown.append({"path": str(file), **_to_json(imported)})
    note_finished(**({"pictures": shown} if len(files) > 1 else {}))
    if problems:
        told = f"{len(problems)} of {len(files)} pictures could not be shown"
        raise problems[0] if len(files) == 1 else PictureError(told)
    if as_json:
        print_json({"pictures": shown} if len(files) > 1 else shown[0])


def _find_grid(file: Path) -> GridRecord | None:
    from allaprima.core.grid_files import read_grid

    try:
        return read_grid(file)
    except PictureError:
        return None


def _print_grid(grid: GridRecord) -> None:
    for axis in grid.axes:
        print(printable(f"{axis['field']}: {'; '.join(map(str, axis['values']))}"))
    painted = [request for request in grid.requests if request is not None]
    print(f"{len(painted)} of {len(grid.requests)} pictures; --json shows the request of each")


def _print_request(imported: ImportedRequest) -> None:
    fields = imported.request.to_json()
    # As one would type them after --lora.
    fields["loras"] = ", ".join(f"{use.name}:{use.weight:g}" for use in imported.request.loras)
    if "layout" in fields:
        fields["layout"] = json.dumps(fields["layout"], ensure_ascii=False)
    for name, value in fields.items():
        print(f"{name.replace('_', ' ') + ':':<17}{'' if value is None else printable(str(value))}")
    if (layout := imported.painted_layout) is not None:
        print(printable(f"painted layout:  {json.dumps(painted_to_json(layout), ensure_ascii=False)}"))
    if imported.init_strength is not None:
        part = "" if imported.inpaint_area is None else f", {imported.inpaint_area[:80]}"
        strength = imported.init_strength[:20]
        print(printable(f"painted over:    another picture (strength {strength}{part})"))
    for remark in imported.remarks:
        print(f"prima: {printable(remark)}", file=sys.stderr)


def _to_json(imported: ImportedRequest) -> dict[str, Any]:
    strength, area = imported.init_strength, imported.inpaint_area
    init = {} if strength is None else {"init": {"strength": strength, "area": area}}
    layout = imported.painted_layout
    told = {} if layout is None else {"painted_layout": painted_to_json(layout)}
    return {"request": imported.request.to_json(), "remarks": [*imported.remarks], **init, **told}
