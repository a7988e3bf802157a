"""`prima paint`: words in, picture files out."""

from __future__ import annotations

import secrets
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from allaprima.cli.output import JsonFlag, print_json, progress_bar
from allaprima.cli.targets import Target, plan_targets
from allaprima.core.errors import RequestError
from allaprima.core.events import Finished, Started, Step
from allaprima.core.infotext import parse_size
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.paint.turbo import is_turbo, keep_turbo, without_turbo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allaprima.core.events import Event
    from allaprima.paint.painter import Painter

app = typer.Typer()

MAX_COUNT = 1000


@app.command()
def paint(
    prompt: Annotated[str | None, typer.Argument(help="What to paint.", show_default=False)] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write, or a folder. Default: a new file named after the prompt."
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Sampler steps, 1 to 1000. Default: the base's own.")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(
            help="How closely to follow the prompt, 0 to 30; 1 is fastest. Default: the base's own."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the first picture. Default: a random one.")
    ] = None,
    count: Annotated[int, typer.Option(help="How many pictures; their seeds follow each other.")] = 1,
    size: Annotated[
        str | None, typer.Option(help="Width x height in pixels. Default: the base's own.")
    ] = None,
    negative: Annotated[str | None, typer.Option(help="What not to paint.")] = None,
    file_format: Annotated[
        Literal["png", "jpeg", "webp"] | None, typer.Option("--format", help="Default: what -o says, or png.")
    ] = None,
    quality: Annotated[
        Literal["high", "medium"] | None, typer.Option(help="JPEG and WebP quality: 95 or 80. Default: high.")
    ] = None,
    previews: Annotated[
        bool, typer.Option("--previews", help="Also write the picture after every step.")
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Paint again what this picture was painted from; other options override it."
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="vignette, a model folder, a .safetensors file, a name in --models-dir, or a hub id in the "
            "cache. Default: vignette."
        ),
    ] = None,
    models_dir: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of models, as ComfyUI and A1111 keep them; may be given again."),
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="Noise levels by name, such as lightning. Default: the base's own.")
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(help="NAME or NAME:WEIGHT of a LoRA in --lora-dir; may be given again."),
    ] = None,
    lora_dir: Annotated[Path | None, typer.Option(help="Folder of LoRAs.")] = None,
    no_turbo: Annotated[
        bool,
        typer.Option(
            "--no-turbo",
            help="Paint with the plain base. Default: a LoRA called turbo that fits the base is worn, so that few "
            "steps do.",
        ),
    ] = False,
    precision: Annotated[
        Literal["auto", "bf16", "fp32", "fp16"],
        typer.Option(help="Number format. auto: bf16 where the device multiplies it, else fp32."),
    ] = "auto",
    memory: Annotated[
        float | None,
        typer.Option(help="GiB that painting may take; see prima plan. Default: as much as there is."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Folder with Vignette's weights of your own training. Default: those that ship."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Paint a picture from words and print where it is."""
    given = {
        "prompt": prompt,
        "steps": steps,
        "guidance": guidance,
        "negative_prompt": negative,
        "quality": quality,
        "base": base,
        "schedule": schedule,
        "loras": tuple(map(parse_lora, lora)) if lora else None,
    }
    given |= dict(zip(("width", "height"), parse_size(size), strict=True)) if size is not None else {}
    given = {key: value for key, value in given.items() if value is not None}
    if memory is not None and not memory > 0:
        raise RequestError(f"got --memory {memory:g}; expected more than 0 GiB")
    requests = make_requests(given, source, seed, count)
    targets = plan_targets(requests, output, file_format)

    timings: dict[str, float] = dict.fromkeys(("load", "text", "denoise", "decode", "save"), 0.0)
    started = time.perf_counter()
    # Here, not above: torch takes seconds to import, and a mistake in the options is to be told at once.
    from allaprima.paint.painter import Painter

    painter = Painter.load(
        requests[0].base,
        folder=weights,
        models_dirs=models_dir or (),
        lora_dir=lora_dir,
        precision=precision,
        memory=memory,
        size=_largest(requests, given, source),
    )
    if source is None:
        requests = [painter.request(turbo=not no_turbo, **given, seed=request.seed) for request in requests]
    elif no_turbo:
        requests = [take_off_turbo(painter, request, given) for request in requests]
    for remark in (*painter.introductions(requests[0]), *painter.remarks(requests[0])):
        print(f"prima: {remark}", file=sys.stderr)
    timings["load"] = _ms_since(started)
    paths = save_events(painter.events(*requests, previews=previews), targets, requests[0].steps, timings)
    seeds = ", ".join(str(request.seed) for request in requests)
    print(f"seed {seeds}; {_ms_since(started) / 1000:.1f} s", file=sys.stderr)
    if as_json:
        print_json({
            "paths": [str(path) for path in paths],
            "seeds": [request.seed for request in requests],
            "timings_ms": {stage: round(ms, 3) for stage, ms in timings.items()},
            "request": requests[0].to_json(),
        })  # fmt: skip


def _largest(
    requests: list[GenerationRequest], given: dict[str, Any], source: Path | None
) -> tuple[int, int] | None:
    """Return the size of the pictures to come; None if it is the base's to say."""
    if source is None and "width" not in given:
        return None
    return requests[0].width, requests[0].height


def take_off_turbo(painter: Painter, request: GenerationRequest, given: dict[str, Any]) -> GenerationRequest:
    """Return `request` for the plain base: what came with turbo goes with it, unless it is `given`."""
    if not is_turbo(request.loras):
        return request
    fields = {key: value for key, value in vars(request).items() if key not in ("steps", "guidance")}
    return painter.request(turbo=False, **fields | given | {"loras": without_turbo(request.loras)})


def parse_lora(text: str) -> LoraUse:
    """Return the LoRA that NAME or NAME:WEIGHT means.

    Raises:
        RequestError: the name or the weight cannot be one.
    """
    name, colon, weight = text.rpartition(":")
    if not colon:
        return LoraUse(name=text)
    try:
        return LoraUse(name=name, weight=float(weight))
    except RequestError:
        raise
    except ValueError:
        raise RequestError(
            f"got --lora {text[:80]!r}; expected NAME or NAME:WEIGHT, such as ink:0.8"
        ) from None


def make_requests(
    given: dict[str, Any], source: Path | None, seed: int | None, count: int
) -> list[GenerationRequest]:
    """Return the `count` requests of a command line: those of `source` if named, changed by what is `given`.

    Without a source, what is not given is still to be taken from the base, once that is loaded.

    Raises:
        RequestError: a value is out of range, or there is neither a prompt nor a source.
        PictureError: `source` carries no request.
    """
    if not 1 <= count <= MAX_COUNT:
        raise RequestError(f"got count {count}; expected 1 to {MAX_COUNT}")
    if source is not None:
        from allaprima.core.picture_files import read_request

        first = read_request(source)
        if "loras" in given:
            given = given | {"loras": keep_turbo(first.loras, given["loras"])}
        first = replace(first, **given)
    elif "prompt" in given:
        first = GenerationRequest(seed=secrets.randbelow(2**32), **given)
    else:
        raise RequestError(
            'got no prompt; expected words such as prima paint "a cat on a rooftop", or --from FILE'
        )
    if seed is not None:
        first = replace(first, seed=seed)
    return [replace(first, seed=first.seed + number) for number in range(count)]


def save_events(
    events: Iterable[Event], targets: list[Target], steps: int, timings: dict[str, float]
) -> list[Path]:
    """Follow a painter's events, showing progress and writing every picture as soon as it is done.

    Args:
        events: what the painter reports.
        targets: where the pictures go, in the order in which they come.
        steps: of each picture.
        timings: milliseconds by stage; the painter's and our own are added.

    Returns:
        the path of each picture, which is also printed on stdout.
    """
    paths: list[Path] = []
    try:
        _follow(events, targets, steps, timings, paths)
    finally:  # a picture that is done stays, so its path is told even if the next one failed
        for path in paths:
            print(path)
    return paths


def _follow(
    events: Iterable[Event], targets: list[Target], steps: int, timings: dict[str, float], paths: list[Path]
) -> None:
    with progress_bar() as bar:
        task = bar.add_task("painting", total=steps * len(targets))
        pass_size = 1
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
                started = time.perf_counter()
                pictures = zip(targets[len(paths) :], event.pictures, strict=False)
                paths += [target.write(picture) for target, picture in pictures]
                timings["save"] += _ms_since(started)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000.0
