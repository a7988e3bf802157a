"""Is every one of many pictures in a row a picture, and what does making sure cost?

    python -m benchmarks.guard --json                       # 500 pictures each with Vignette and a tiny Qwen-Image
    python -m benchmarks.guard --precision fp16 --json      # in a format that overflows

A picture is bad if the evaluation's own `find_fault` says so. The cost is that of a step: the same pictures are
painted with and without guard, in turns, and a row is the median of the ratios of neighbours.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from benchmarks.harness import RESULTS, Row, report
from tests.tiny_qwen import write_tiny_qwen

from allaprima.core.errors import PaintError
from allaprima.core.picture import Picture
from allaprima.core.progress import track
from allaprima.core.request import GenerationRequest
from allaprima.lab.evaluation.metrics import find_fault
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.overflow_guard import is_sound

PROMPTS = (
    "a cat wearing sunglasses on a rooftop at sunset", "一只猫在屋顶上", "a red bicycle in the snow",
    "a black square", "a dark forest at night", "a white wall", "nothing", "雨夜里的小镇",
)  # fmt: skip


def main(
    pictures: Annotated[int, typer.Option(help="Pictures in a row, with each base.")] = 500,
    steps: Annotated[int, typer.Option(help="Steps of each picture.")] = 4,
    runs: Annotated[int, typer.Option(help="Pairs of pictures that are timed.")] = 60,
    precision: Annotated[str, typer.Option(help="auto, bf16, fp32 or fp16.")] = "auto",
    weights: Annotated[
        Path | None, typer.Option(help="Folder of Vignette's weights. Default: those that ship.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    rows: list[Row] = []
    details: dict[str, Any] = {"pictures": pictures, "steps": steps, "precision": precision}
    with tempfile.TemporaryDirectory() as folder:
        qwen = write_tiny_qwen(Path(folder) / "qwen")
        painters = {
            "Vignette": Painter.load(folder=weights, precision=precision),
            "tiny Qwen-Image": Painter.load(str(qwen), precision=precision),
        }
        for name, painter in painters.items():
            size = painter.base.defaults.width if name == "Vignette" else 64
            first = painter.request(prompt=PROMPTS[0], steps=steps, width=size, height=size)
            seen = watch(painter, first, pictures)
            rows += _rows_of(name, pictures, seen)
            rows += _costs(name, painter, first, runs)
            details[name] = dict(seen)
    report("guard", rows, details, as_json=as_json, folder=results)


def watch(painter: Painter, first: GenerationRequest, pictures: int) -> Counter[str]:
    """Paint so many pictures, with and without guidance, and count what was wrong with them."""
    seen: Counter[str] = Counter()
    for number in track(range(pictures), total=pictures, label=painter.base.family, unit="picture"):
        guidance = 1.0 if number % 2 else 4.0
        prompt = PROMPTS[number % len(PROMPTS)]
        try:
            picture = painter.paint(replace(first, prompt=prompt, seed=number, guidance=guidance))
        except PaintError:
            seen["errors"] += 1
        else:
            seen[find_fault(_pixels(picture)) or "fine"] += 1
            seen.update(picture.rescues.counts())
    return seen


def _pixels(picture: Picture) -> torch.Tensor:
    levels = torch.frombuffer(bytearray(picture.rgb), dtype=torch.uint8)
    return levels.view(picture.height, picture.width, 3).permute(2, 0, 1).float() / 255


def _rows_of(name: str, pictures: int, seen: Mapping[str, int]) -> Iterator[Row]:
    black = seen.get("black", 0) + seen.get("nan", 0) + seen.get("constant", 0)
    yield Row(name=f"{name}, black of {pictures}", value=black, unit="pictures", must=0, aim=0)
    yield Row(
        name=f"{name}, errors of {pictures}", value=seen.get("errors", 0), unit="pictures", must=0, aim=0
    )
    rescues = sum(seen.get(kind, 0) for kind in ("texts", "steps", "decodes"))
    yield Row(name=f"{name}, rescues", value=rescues, unit="events")


def _costs(name: str, painter: Painter, first: GenerationRequest, runs: int) -> Iterator[Row]:
    bare = replace(painter, guarded=False)
    request = replace(first, guidance=1.0)
    # Beside a tiny network everything is dear; what must hold is for one that has learned something.
    must, aim = (1.02, 1.01) if name == "Vignette" else (None, None)
    ratios = [_ratio(painter, bare, request, guarded_first=bool(run % 2)) for run in range(-2, runs)][2:]
    yield Row(
        name=f"{name}, picture with guard / without", value=_median(ratios), unit="x", must=must, aim=aim
    )
    base, width, height = painter.base, first.width, first.height
    with torch.inference_mode():
        text, latents = base.encode_text([first.prompt]), base.noise([0], width, height)
        t = latents.new_full((1,), base.schedule(first.steps, width, height).times[0])
        prediction = base.predict(latents, t, text)
        step, check = [], []
        for _ in range(runs):
            step.append(_elapsed(lambda: base.predict(latents, t, text)))
            check.append(_elapsed(lambda: is_sound(prediction)))
    share = (_median(step) + _median(check)) / _median(step)
    yield Row(name=f"{name}, step with guard / without", value=share, unit="x", must=must, aim=aim)


def _ratio(painter: Painter, bare: Painter, request: GenerationRequest, *, guarded_first: bool) -> float:
    order = (painter, bare) if guarded_first else (bare, painter)
    took = {id(one): _elapsed(partial(one.paint, request)) for one in order}
    return took[id(painter)] / took[id(bare)]


def _elapsed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    typer.run(main)
