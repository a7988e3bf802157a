"""`prima pull`: fetch a model from the Hugging Face hub. Nothing else of this program downloads anything."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from allaprima.cli.output import JsonFlag, print_json

app = typer.Typer()


@app.command()
def pull(
    hub_id: Annotated[str, typer.Argument(metavar="ID", help="The model, as owner/name.")],
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit. Default: the newest.", show_default=False)
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            help="Form of the weights where a model has several, such as fp16. Default: the plain one, or any.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Fetch a model into the hub's cache and print where it is; what has arrived is not fetched again."""
    from allaprima.paint.bases import hub
    from allaprima.paint.bases.loading import locate

    path = hub.pull(hub_id, revision=revision, variant=variant, accept=lambda folder: locate(str(folder)))
    family = locate(str(path)).family
    # Without a revision its id finds the newest one, if that was ever fetched.
    base = hub_id if hub.find_cached(hub_id) == path else f"{hub_id}@{revision}"
    print(path)
    print(f"prima: paint with it as --base {base}", file=sys.stderr)
    if as_json:
        files = [file for file in path.rglob("*") if file.is_file()]
        print_json({
            "id": hub_id,
            "base": base,
            "path": str(path),
            "family": family,
            "bytes": sum(file.stat().st_size for file in files),
        })  # fmt: skip
