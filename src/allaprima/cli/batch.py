"""`prima batch`: a picture for each line of a file, here, on several replicas, or on a Ray cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from allaprima.cli.loader_options import LoaderOptions
from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag, note_finished, print_json, printable
from allaprima.cli.replicas import MOST_REPLICAS, ClusterOptions, open_engine
from allaprima.core.errors import PaintError, UserError
from allaprima.core.files import make_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allaprima.cli.serve import Makers
    from allaprima.studio.batch.lines import BatchLine, CompleteLine
    from allaprima.studio.batch.record import BatchRecord

app = typer.Typer()
SHOWN_REASONS = 5


@dataclass(frozen=True, kw_only=True)
class SpreadOptions:
    """Who paints."""

    replicas: Annotated[
        int,
        typer.Option(
            min=1, max=MOST_REPLICAS,
            help="Engines that paint, each in a process of its own with a GPU or its share of the cores.",
        ),
    ] = 1  # fmt: skip
    ray: Annotated[
        str | None,
        typer.Option(
            help="Address of a Ray cluster that paints, auto for the one of this machine; its machines have to share "
            "the folder, bases and LoRAs.",
            show_default=False,
        ),
    ] = None
    gpus: Annotated[
        float, typer.Option(min=0, max=16, help="GPUs of each replica on a Ray cluster.", show_default=True)
    ] = 0.0


@app.command()
@spread_options
def batch(
    prompts: Annotated[
        Path,
        typer.Argument(help='File with a line of JSON for each picture: "a cat", or {"prompt": ..., ...}.'),
    ],
    folder: Annotated[Path, typer.Option("-o", "--output", help="Folder that gets the pictures.")],
    spread: SpreadOptions,
    bases: LoaderOptions,
    no_turbo: Annotated[bool, typer.Option("--no-turbo", help="Paint with the plain base.")] = False,
    file_format: Annotated[
        Literal["png", "jpeg", "webp"], typer.Option("--format", help="Of the files.")
    ] = "png",
    as_json: JsonFlag = False,
) -> None:
    """Paint a picture for each line of a file; run it again to go on where it ended."""
    from allaprima.studio.batch.lines import BatchLine, parse_lines, read_lines
    from allaprima.studio.batch.record import BatchRecord

    makers = bases.makers()
    lines = read_lines(prompts)
    make_folder(folder)
    ending = "." + {"jpeg": "jpg"}.get(file_format, file_format)
    record, left = BatchRecord(folder=folder), list[BatchLine]()
    for line in parse_lines(lines, completion(makers, turbo=not no_turbo)):
        if not isinstance(line, BatchLine):
            record.failed[line.number] = line.reason
        elif line.request.base not in makers.specs:
            record.failed[line.number] = (
                f"got base {line.request.base!r}; expected {' or '.join(makers.specs)}"
            )
        elif (there := folder / f"{line.stem}{ending}").is_file():
            record.painted[line.number] = there
            record.skipped.add(line.number)
        else:
            left.append(line)
    if not record.painted and not left and not record.failed:
        raise UserError(f"got {prompts}, which has no lines; expected one for each picture")
    try:
        _paint(left, record, makers, spread, ending)
    finally:
        record.save()
        note_finished(**_facts(record))
    _tell(record, as_json=as_json)


def completion(makers: Makers, *, turbo: bool) -> CompleteLine:
    """Return what fills in a line as every other door does, by its base and the LoRAs that are there."""
    from allaprima.core.request_policy import complete_request
    from allaprima.paint.lora.files.folder import SHIPPED, existing_folder
    from allaprima.studio.server.lora_cards import LoraCards

    cards = makers.cards()
    folders = (base.weights_folder(makers.weights) for base in makers.locate().values())
    weights = next(filter(None, folders), None)
    loras = LoraCards(
        existing_folder(makers.lora_dir, makers.models_dirs), behind=weights and weights / SHIPPED
    )
    first = next(iter(cards.values()))

    def complete(given: Mapping[str, Any]) -> dict[str, Any]:
        base = next((card for name, card in cards.items() if name == given.get("base")), first)
        return complete_request(given, base, loras.find, turbo=turbo, accelerators=loras.accelerators())

    return complete


def _paint(
    left: Sequence[BatchLine], record: BatchRecord, makers: Makers, spread: SpreadOptions, ending: str
) -> None:
    if spread.ray is not None:
        from allaprima.studio.batch.ray_run import RowPainter, paint_with_ray

        painter = RowPainter(load=makers.load_on, folder=record.folder.resolve(), ending=ending)
        paint_with_ray(painter, left, record, address=spread.ray, replicas=spread.replicas, gpus=spread.gpus)
        return
    from allaprima.studio.batch.run import paint_batch

    options = ClusterOptions(replicas=spread.replicas)
    with open_engine(
        makers.load_on,
        options,
        bases=tuple(makers.specs),
        models_dirs=makers.models_dirs,
        device=makers.device,
    ) as engine:
        paint_batch(engine, left, record, ending=ending, replicas=spread.replicas)


def _facts(record: BatchRecord) -> dict[str, Any]:
    from allaprima.studio.batch.record import RECORD

    return {
        "paths": [str(record.painted[number]) for number in sorted(record.painted)],
        "painted": len(record.painted) - len(record.skipped),
        "skipped": len(record.skipped),
        "failed": [{"line": number, "error": record.failed[number]} for number in sorted(record.failed)],
        "remarks": [
            {"line": number, "remarks": list(said)} for number, said in sorted(record.remarks.items()) if said
        ],
        "record": str(record.folder / RECORD),
    }


def _tell(record: BatchRecord, *, as_json: bool) -> None:
    """Print what became of the lines; raises if any came to nothing, once the others are told."""
    facts = _facts(record)
    new = facts["painted"]
    print(
        f"prima: {new} painted, {len(record.skipped)} there before, {len(record.failed)} failed",
        file=sys.stderr,
    )
    for told in facts["remarks"]:
        print(f"prima: line {told['line']}: {printable('; '.join(told['remarks']))}", file=sys.stderr)
    for path in facts["paths"]:
        print(path)
    if not record.failed:
        if as_json:
            print_json(facts)
        return
    shown = [f"line {number}: {record.failed[number]}" for number in sorted(record.failed)[:SHOWN_REASONS]]
    more = "" if len(record.failed) <= SHOWN_REASONS else f"; {facts['record']} has the others"
    reason = f"{len(record.failed)} lines came to nothing: {'; '.join(shown)}{more}"
    raise PaintError(reason) if record.broken else UserError(reason)
