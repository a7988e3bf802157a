"""How much faster than stock diffusers, on the same weights in the same run?

    python -m benchmarks.versus_diffusers --json                       # tiny checkpoints: what is not arithmetic
    python -m benchmarks.versus_diffusers --full-size sdxl --json      # random weights, one step at 512
    python -m benchmarks.versus_diffusers --full-size qwen --json      # wants 60 GB of memory that is quick at bf16

The two take turns, so that whatever else slows the machine slows both; a row is the median of the ratios of
neighbouring runs, with the quarter and three-quarter points beside it. Speed does not depend on the values of the
weights, so random ones tell the truth.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from benchmarks.full_size import full_size_pairs
from benchmarks.harness import RESULTS, Row, report, run_stages
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.loading import load_base
from allaprima.paint.device.precision import pick_device, pick_dtype
from allaprima.paint.painter import Painter

AIMS = {"cpu": 1.3, "cuda": 1.5}
FEWEST = 3
"""Runs of each that are done even when time is over."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One piece of work, done by diffusers and by us."""

    name: str
    stock: Callable[[int], object]
    """Called with the number of the run, so that nothing need be the same twice."""
    ours: Callable[[int], object]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What many runs of a pair gave."""

    name: str
    stock_ms: float
    """Median."""
    ours_ms: float
    """Median."""
    ratio: float
    """Median of stock / ours over neighbouring runs; above 1 we are faster."""
    low: float
    """A quarter of the ratios are below."""
    high: float
    """A quarter of the ratios are above."""
    runs: int


def main(
    full_size: Annotated[
        Literal["sdxl", "qwen"] | None, typer.Option(help="A published model's size, with random weights.")
    ] = None,
    side: Annotated[
        list[int] | None,
        typer.Option(
            help="Width and height of full-size pictures, in pixels; may be given again. Default: 512."
        ),
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compiled", help="Ours with its blocks compiled, full size.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="Default: the first GPU, or else the CPU.")] = None,
    runs: Annotated[int, typer.Option(help="Runs of each, after two that do not count.")] = 15,
    seconds: Annotated[float | None, typer.Option(help="After so long, three runs of each must do.")] = None,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    where = pick_device(device)
    details: dict[str, Any] = {"device": str(where), "dtype": str(pick_dtype(where)), "comparisons": []}
    until = None if seconds is None else time.monotonic() + seconds

    def measured(pair: Pair) -> list[Row]:
        compared = compare(pair, runs, until=until)
        details["comparisons"].append(asdict(compared))
        return list(_rows(compared, AIMS[where.type]))

    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        if full_size is None:
            pairs = tiny_pairs(Path(folder), where)
        else:
            sides = side or [512]
            named = full_size_pairs(full_size, where, pick_dtype(where), sides, compiled=compiled)
            pairs = (Pair(name=name, stock=stock, ours=ours) for name, stock, ours in named)
        rows, whole = run_stages(partial(measured, pair) for pair in pairs)
    report("versus_diffusers", rows, details, as_json=as_json, folder=results)
    if not whole:
        raise typer.Exit(1)


def compare(pair: Pair, runs: int, warm_up: int = 2, until: float | None = None) -> Comparison:
    """Time both sides of `pair` in turns; from `until` on, of `time.monotonic`, three runs must do."""
    times: list[tuple[float, float]] = []
    for run in range(-warm_up, runs):
        if len(times) >= FEWEST and until is not None and time.monotonic() > until:
            break
        # Now the one, now the other goes first: being second may mean finding warm caches.
        order = (pair.stock, pair.ours) if run % 2 else (pair.ours, pair.stock)
        took = {action: _time_ms(action, run) for action in order}
        if run >= 0:
            times.append((took[pair.stock], took[pair.ours]))
    ratios = sorted(stock / ours for stock, ours in times)
    low, ratio, high = (
        statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    )
    return Comparison(
        name=pair.name,
        stock_ms=statistics.median(stock for stock, _ in times),
        ours_ms=statistics.median(ours for _, ours in times),
        ratio=ratio,
        low=low,
        high=high,
        runs=len(times),
    )


def tiny_pairs(folder: Path, device: torch.device) -> Iterator[Pair]:
    """Whole pictures and their stages, of checkpoints so small that only what surrounds the arithmetic counts."""
    from diffusers import QwenImagePipeline, StableDiffusionXLPipeline

    for name, write, pipeline in (
        ("tiny qwen", write_tiny_qwen, QwenImagePipeline),
        ("tiny sdxl", write_tiny_sdxl, StableDiffusionXLPipeline),
    ):
        checkpoint = write(folder / name.split()[-1])
        stock = pipeline.from_pretrained(checkpoint).to(device, pick_dtype(device))
        stock.set_progress_bar_config(disable=True)
        painter = Painter(base=load_base(str(checkpoint), device=device))
        for label, guidance in (("guidance 4", 4.0), ("no guidance", 1.0)):
            yield _picture(f"{name}, picture of 4 steps, {label}", stock, painter, guidance)
        yield _picture(f"{name}, prompt seen before", stock, painter, 4.0, same_prompt=True)


def _picture(name: str, stock: Any, painter: Painter, guidance: float, *, same_prompt: bool = False) -> Pair:
    size, steps, negative = 64, 4, "rain"
    scale = "true_cfg_scale" if painter.base.family == "qwen-image" else "guidance_scale"

    def prompt(run: int) -> str:
        return "a cat on a rooftop" if same_prompt else f"a cat on a rooftop, {name}, {run + 10}"

    def by_stock(run: int) -> object:
        return stock(
            prompt=prompt(run),
            negative_prompt=negative if guidance != 1.0 else None,
            width=size,
            height=size,
            num_inference_steps=steps,
            generator=torch.Generator().manual_seed(run + 10),
            **{scale: guidance},
        )

    def by_us(run: int) -> object:
        return painter.paint(
            GenerationRequest(
                prompt=prompt(run), negative_prompt=negative, width=size, height=size, steps=steps, guidance=guidance,
                seed=run + 10, base=painter.base.name,
            )
        )  # fmt: skip

    return Pair(name=name, stock=by_stock, ours=by_us)


def _rows(compared: Comparison, aim: float) -> Iterator[Row]:
    yield Row(
        name=f"{compared.name}, diffusers / ours", value=compared.ratio, unit="x", aim=aim, better="higher"
    )
    yield Row(name=f"{compared.name}, quarter point", value=compared.low, unit="x", better="higher")
    yield Row(name=f"{compared.name}, three-quarter point", value=compared.high, unit="x", better="higher")
    yield Row(name=f"{compared.name}, ours", value=compared.ours_ms, unit="ms")
    yield Row(name=f"{compared.name}, diffusers", value=compared.stock_ms, unit="ms")


def _time_ms(action: Callable[[int], object], run: int) -> float:
    _synchronize()
    started = time.perf_counter()
    action(run)
    _synchronize()
    return (time.perf_counter() - started) * 1e3


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    typer.run(main)
