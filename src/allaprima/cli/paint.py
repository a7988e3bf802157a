"""`prima paint`: words in, picture files out."""

from __future__ import annotations

import secrets
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.cli.layout_option import open_layout
from allaprima.cli.option_groups import spread_options
from allaprima.cli.output import JsonFlag, check_memory, note_finished, print_json, printable
from allaprima.cli.paint_options import LoadOptions, OutputOptions, RequestOptions, StartOptions
from allaprima.cli.paint_retouch import AfterwardsOptions, paintable, retouching
from allaprima.cli.retouch_options import OperationOptions
from allaprima.cli.start import open_start
from allaprima.cli.targets import (
    OutputTarget,
    check_streams,
    check_transparency,
    plan_targets,
    signed_targets,
)
from allaprima.core.errors import RequestError
from allaprima.core.events import Finished, Started, Step
from allaprima.core.infotext import parse_size
from allaprima.core.layout_json import painted_to_json
from allaprima.core.progress import progress_bar
from allaprima.core.reference import Reference
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.core.request_policy import choose_words, wear_tags
from allaprima.core.retouch import operations_to_json
from allaprima.core.specification import parse_lora
from allaprima.core.turbo import keep_turbo, names_turbo, without_turbo
from allaprima.core.wildcard_folder import WildcardFolder, existing_wildcards
from allaprima.core.wildcards import FindLines, no_wildcards

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from allaprima.core.events import Event
    from allaprima.core.infotext import ImportedRequest
    from allaprima.core.picture import Picture
    from allaprima.core.retouched import RetouchedPicture
    from allaprima.paint.painter import Painter

app = typer.Typer()

MAX_COUNT = 1000
_WITH_TURBO = ("steps", "guidance", "schedule")
"""What turbo brings, and takes along."""


@app.command()
@spread_options
def paint(
    asked: RequestOptions,
    retouch: OperationOptions,
    afterwards: AfterwardsOptions,
    start: StartOptions,
    load: LoadOptions,
    out: OutputOptions,
    prompt: Annotated[str | None, typer.Argument(help="What to paint.", show_default=False)] = None,
    as_json: JsonFlag = False,
) -> None:
    """Paint a picture from words and print where it is."""
    given = fields_of_options(asked, prompt)
    check_memory(load.memory)
    picture = open_start(start, asked.source)
    if picture is not None:
        picture.check_fields(given)
    imported = None if asked.source is None else import_source(asked.source)
    first = None if imported is None else imported.request
    wildcards = WildcardFolder(existing_wildcards(load.wildcard_dir, load.models_dir or ()))
    requests = make_requests(given, first, asked.seed, asked.count, wildcards.find)
    operations = afterwards.operations(retouch, asked.source)
    targets = signed_targets(plan_targets(requests, out.output, out.file_format), out.c2pa)
    check_streams(targets, as_json=as_json, previews=out.previews)
    check_transparency(targets, operations)

    started = time.perf_counter()
    painter = load_painter(asked, load, requests[0], first, _largest(requests, given, first))
    # Here, not above: torch takes seconds to import, and a mistake in the options should be reported at once.
    from allaprima.paint.pipeline.overpainting import Overpainting

    over = Overpainting(picture, painter.base)
    requests = over.fit(fill_requests(painter, requests, given, first, turbo=not asked.no_turbo))
    timings = {"load": _ms_since(started), **dict.fromkeys(("text", "denoise", "decode", "save"), 0.0)}
    events = over.events(painter.events, requests, previews=out.previews)
    operations = paintable(operations, painter)
    finish = retouching(operations, painter, load.models_dir or (), timings) if operations else None
    paths = save_events(events, targets, requests[0].steps * over.passes, timings, finish)
    seeds = [request.seed for request in requests]
    print(f"seed {', '.join(map(str, seeds))}; {_ms_since(started) / 1000:.1f} s", file=sys.stderr)
    chosen = any(request.template for request in requests)
    if as_json:
        layout = painter.painted_layout(requests[0], picture)
        print_json({
            "paths": [str(path) for path in paths],
            "seeds": seeds,
            **({"prompts": [request.prompt for request in requests]} if chosen else {}),
            "timings_ms": {stage: round(ms, 3) for stage, ms in timings.items()},
            "request": requests[0].to_json(),
            "painted_layout": None if layout is None else painted_to_json(layout),
            **({"retouch": operations_to_json(operations)} if operations else {}),
            "loras": [lora.to_json() for lora in painter.painted_loras(requests[0])],
            "remarks": [*(() if imported is None else imported.remarks), *remarks_on(painter, requests)],
        })  # fmt: skip


def load_painter(
    asked: RequestOptions,
    load: LoadOptions,
    request: GenerationRequest,
    source: GenerationRequest | None,
    size: tuple[int, int] | None,
) -> Painter:
    """Return a painter with the base of a command line, which of its files are joined told on stderr.

    Args:
        asked: names a base, perhaps.
        load: where it lies.
        request: the first picture.
        source: the request of a picture that the command line starts from.
        size: of the largest picture to come; None if it is the base's to say.
    """
    # Here, not above: torch takes seconds to import, and a mistake in the options should be reported at once.
    from allaprima.paint.painter import Painter

    if source is not None and asked.base is None:
        _check_base(source.base, load)
    base = asked.base or request.base
    _tell_files(base, load)
    return Painter.load(
        base, folder=load.weights, models_dirs=load.models_dir or (), text_encoder=load.text_encoder, vae=load.vae,
        lora_dir=load.lora_dir, wildcard_dir=load.wildcard_dir, precision=load.precision, memory_gib=load.memory,
        quantize=load.quantize, cache=load.cache, size=size, loras=request.loras,
    )  # fmt: skip


def fields_of_options(asked: RequestOptions, prompt: str | None) -> dict[str, Any]:
    """Return the fields of a request that options and prompt name."""
    return given_fields(
        asked.size, asked.lora, prompt=prompt, steps=asked.steps, guidance=asked.guidance,
        negative_prompt=asked.negative, quality=asked.quality, base=asked.base, schedule=asked.schedule,
        references=None if not asked.reference else tuple(map(Reference.open, asked.reference)),
        layout=None if asked.layout is None else open_layout(asked.layout),
        complete_layout=False if asked.no_complete_layout else None,
    )  # fmt: skip


def given_fields(size: str | None, lora: list[str] | None, **others: Any) -> dict[str, Any]:
    """Return the fields of a request that a command line names; None in `others` is a field it does not."""
    given = {key: value for key, value in others.items() if value is not None}
    if lora:
        given["loras"] = tuple(map(parse_lora, lora))
    if size is not None:
        given["width"], given["height"] = parse_size(size)
    return given


def import_source(source: Path) -> ImportedRequest:
    """Return what the picture at `source` was painted from, with what that leaves out told on stderr."""
    from allaprima.core.picture_files import import_request

    imported = import_request(source)
    for remark in imported.remarks:
        print(f"prima: {printable(f'of {source}: {remark}')}", file=sys.stderr)
    return imported


def _check_base(name: str, load: LoadOptions) -> None:
    """Refuse the base that a picture names, with the way out, if it is not here."""
    from allaprima.paint.bases.files.parts import NamedParts
    from allaprima.paint.bases.loading import locate

    try:
        locate(name, load.models_dir or (), NamedParts(text_encoder=load.text_encoder, vae=load.vae))
    except RequestError as error:
        raise RequestError(f"{error}. The picture names it; --base paints it with another") from error


def _tell_files(base: str, load: LoadOptions) -> None:
    """Say on stderr which files are joined to one base."""
    from allaprima.paint.bases.files.parts import NamedParts
    from allaprima.paint.bases.loading import locate

    named = NamedParts(text_encoder=load.text_encoder, vae=load.vae)
    if joined := locate(base, load.models_dir or (), named).joined():
        print(f"prima: {printable(joined)}", file=sys.stderr)


def fill_requests(
    painter: Painter,
    requests: list[GenerationRequest],
    given: dict[str, Any],
    source: GenerationRequest | None,
    *,
    turbo: bool,
) -> list[GenerationRequest]:
    """Return `requests` with what was not given taken from the base, with remarks about it on stderr."""
    if source is None:
        requests = [painter.request(turbo=turbo, **given, seed=request.seed) for request in requests]
    elif not turbo:
        requests = [take_off_turbo(painter, request, given) for request in requests]
    for remark in (*painter.introductions(requests[0]), *remarks_on(painter, requests)):
        print(f"prima: {printable(remark)}", file=sys.stderr)
    for request in requests:
        if request.template and "prompt" in given:
            print(f"prima: {printable(f'seed {request.seed}: {request.prompt}')}", file=sys.stderr)
    return requests


def remarks_on(painter: Painter, requests: Sequence[GenerationRequest]) -> list[str]:
    """Return the remarks on `requests`, each once: those of one command differ in their words only by a template."""
    told = {request.prompt: painter.remarks(request) for request in requests}
    return list(dict.fromkeys(remark for remarks in told.values() for remark in remarks))


def _largest(
    requests: list[GenerationRequest], given: dict[str, Any], source: GenerationRequest | None
) -> tuple[int, int] | None:
    """Return the size of the pictures to come; None if it is the base's to say."""
    if source is None and "width" not in given:
        return None
    return requests[0].width, requests[0].height


def take_off_turbo(painter: Painter, request: GenerationRequest, given: dict[str, Any]) -> GenerationRequest:
    """Return `request` for the plain base: what came with turbo goes with it, unless it is `given`."""
    accelerators = _accelerators(request.loras)
    if not names_turbo(request.loras, accelerators):
        return request
    fields = {key: value for key, value in vars(request).items() if key not in _WITH_TURBO or key in given}
    return painter.request(turbo=False, **fields | {"loras": without_turbo(request.loras, accelerators)})


def _accelerators(loras: Sequence[LoraUse]) -> set[str]:
    """Return the names of those of `loras` that are called as public accelerators are."""
    from allaprima.paint.lora.files.accelerators import looks_accelerated

    return {use.name for use in loras if looks_accelerated(use.name)}


def make_requests(
    given: dict[str, Any],
    source: GenerationRequest | None,
    seed: int | None,
    count: int,
    find_wildcard: FindLines = no_wildcards,
) -> list[GenerationRequest]:
    """Return the `count` requests of a command line: those of `source` if named, changed by what is `given`.

    Without a source, what is not given is still to be taken from the base, once that is loaded. Where the words hold
    choices, each seed makes its own.
    """
    if not 1 <= count <= MAX_COUNT:
        raise RequestError(f"got count {count}; expected 1 to {MAX_COUNT}")
    if source is None and "prompt" not in given:
        raise RequestError(
            'got no prompt; expected words such as prima paint "a cat on a rooftop", or --from FILE'
        )
    if seed is None:
        seed = secrets.randbelow(2**32) if source is None else source.seed
    return [_make_request(given, source, seed + number, find_wildcard) for number in range(count)]


def _make_request(
    given: dict[str, Any], source: GenerationRequest | None, seed: int, find_wildcard: FindLines
) -> GenerationRequest:
    given = wear_tags(choose_words({**given, "seed": seed}, find_wildcard))
    if source is None:
        return GenerationRequest(**given)
    if "loras" in given:
        accelerators = _accelerators((*source.loras, *given["loras"]))
        given["loras"] = keep_turbo(source.loras, given["loras"], accelerators)
    return replace(source, **given)


def save_events(
    events: Iterable[Event],
    targets: list[OutputTarget],
    steps: int,
    timings: dict[str, float],
    finish: Callable[[Picture], RetouchedPicture] | None = None,
) -> list[Path]:
    """Follow a painter's events, showing progress and writing every picture as soon as it is done.

    `finish` is what is done to a picture before it is written.

    Returns:
        the path of each picture, which is also printed on stdout; `timings` gets the stages' milliseconds.
    """
    paths: list[Path] = []
    seeds: list[int] = []
    pass_size = 1
    note_finished(paths=[], seeds=[])
    try:
        with progress_bar() as bar:
            task = bar.add_task("painting", total=steps * len(targets))
            for event in events:
                if isinstance(event, Started):
                    pass_size = len(event.requests)
                elif isinstance(event, Step):
                    bar.advance(task, pass_size)
                    for target, preview in zip(targets[len(paths) :], event.previews, strict=False):
                        target.write(preview, f".step-{event.index:0{len(str(event.total))}d}")
                elif isinstance(event, Finished):
                    for stage, ms in event.timings_ms.items():
                        timings[stage] += ms
                    for target, picture in zip(targets[len(paths) :], event.pictures, strict=False):
                        done = picture if finish is None else finish(picture)
                        started = time.perf_counter()
                        paths.append(target.write(done))
                        timings["save"] += _ms_since(started)
                        seeds.append(picture.request.seed)
                        note_finished(paths=[str(path) for path in paths], seeds=seeds)
    finally:  # a picture that is done stays, so its path is printed even if the next one failed
        for path, target in zip(paths, targets, strict=False):
            if not target.is_stdout:
                print(path)
    return paths


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000.0
