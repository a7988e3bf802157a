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
    from allaprima.core.picture_files import read_init_strength, read_inpaint_area, read_request

    request = read_request(file)
    over = {"strength": read_init_strength(file), "area": read_inpaint_area(file)}
    fields = request.to_json()
    # As one would type them after --lora.
    fields["loras"] = ", ".join(f"{use.name}:{use.weight:g}" for use in request.loras)
    for name, value in fields.items():
        print(f"{name.replace('_', ' ') + ':':<17}{'' if value is None else value}")
    if over["strength"] is not None:
        part = "" if over["area"] is None else f", {over['area']}"
        print(printable(f"painted over:    another picture (strength {over['strength'][:20]}{part[:80]})"))
    if as_json:
        init = {} if over["strength"] is None else {"init": over}
        print_json({"path": str(file), "request": request.to_json(), **init})
