"""`prima pull`: fetch a model from the Hugging Face hub. Nothing else of this program downloads anything."""

from __future__ import annotations

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
        typer.Option(help="Form of the weights where a model has several, such as fp16.", show_default=False),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Fetch a model into the hub's cache and print where it is; what has arrived is not fetched again."""
    from allaprima.paint.bases import hub
    from allaprima.paint.bases.loading import locate

    path = hub.pull(hub_id, revision=revision, variant=variant)
    family = locate(str(path)).family
    print(path)
    if as_json:
        files = [file for file in path.rglob("*") if file.is_file()]
        print_json({
            "id": hub_id,
            "path": str(path),
            "family": family,
            "bytes": sum(file.stat().st_size for file in files),
        })  # fmt: skip
