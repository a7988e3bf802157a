"""`prima show`: the request that a picture file carries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from allaprima.cli.output import JsonFlag, print_json, printable

app = typer.Typer()


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A PNG, JPEG or WebP picture.", show_default=False)],
    as_json: JsonFlag = False,
) -> None:
    """Show what a picture was painted from.

    Reads what this program and, as far as it goes, what other programs write into their pictures.
    """
    from allaprima.core.picture_files import import_request

    imported = import_request(file)
    request, strength, area = imported.request, imported.init_strength, imported.inpaint_area
    fields = request.to_json()
    # As one would type them after --lora.
    fields["loras"] = ", ".join(f"{use.name}:{use.weight:g}" for use in request.loras)
    for name, value in fields.items():
        print(f"{name.replace('_', ' ') + ':':<17}{'' if value is None else value}")
    if strength is not None:
        part = "" if area is None else f", {area[:80]}"
        print(printable(f"painted over:    another picture (strength {strength[:20]}{part})"))
    if as_json:
        init = {} if strength is None else {"init": {"strength": strength, "area": area}}
        print_json({"path": str(file), "request": request.to_json(), **init})
