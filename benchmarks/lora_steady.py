"""What does a LoRA cost once it is merged in? Two equal networks, one with a merged LoRA, one that never had a rack.

    python -m benchmarks.lora_steady --json                    two and a half minutes
    python -m benchmarks.lora_steady --json --seconds 5        to see that it works

`benchmarks.lora_swap` measures the same at SDXL's full size, where few passes can be had and shared machines differ
by more than a hundredth. Here the network has SDXL's layers with hardly any width, so that calling them is what takes
time: whatever a rack adds to a layer shows more than anywhere else. Passes go plain, merged, merged, plain.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from benchmarks.harness import RESULTS, Row, report
from benchmarks.lora_networks import build, one_pass, targets, write_lora
from torch.utils._python_dispatch import TorchDispatchMode

from allaprima.paint.lora.files.reader import read_lora
from allaprima.paint.lora.runtime.rack import Rack

Step = Callable[[], torch.Tensor]


def main(
    seconds: Annotated[float, typer.Option(help="How long to measure.")] = 150.0,
    rank: Annotated[int, typer.Option(help="Of the LoRA.")] = 16,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    plain, merged = _twins(rank)
    with torch.inference_mode():
        rows = [*_operation_rows(plain, merged), *_time_rows(plain, merged, seconds)]
    report("lora-steady", rows, {"seconds": seconds, "rank": rank}, as_json=as_json, folder=results)


def _twins(rank: int) -> tuple[Step, Step]:
    """Return a pass through a network that never had a rack, and through one with a LoRA merged in."""
    device = torch.device("cpu")
    plain, worn = (build("tiny", device, torch.float32) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        modules = {"unet": worn}
        lora = read_lora(write_lora(Path(folder) / "a.safetensors", targets(worn), rank, seed=1), modules)
    rack = Rack(modules)
    rack.register(lora)
    rack.set_adapters({"a": 1.0})
    rack.merge()
    return one_pass(plain, "tiny", side=128), one_pass(worn, "tiny", side=128)


class _Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts torch's operations."""

    operations = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        self.operations += 1
        return func(*args, **(kwargs or {}))


def _operation_rows(plain: Step, merged: Step) -> list[Row]:
    counts = []
    for step in (plain, merged):
        with _Count() as counter:  # type: ignore[no-untyped-call]
            step()
        counts.append(counter.operations)
    return [
        Row(name="operations of a pass", value=counts[0], unit=""),
        Row(
            name="operations after merging, against without", value=counts[1] / counts[0], unit="x", must=1.0
        ),
    ]


def _time_rows(plain: Step, merged: Step, seconds: float) -> list[Row]:
    for _ in range(5):
        plain()
        merged()
    ratios: list[float] = []
    passes: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(ratios) < 4:
        first, *worn, last = (_timed(step) for step in (plain, merged, merged, plain))
        ratios.append(sum(worn) / (first + last))
        passes += [first, last]
    quartiles = statistics.quantiles(ratios, n=4)
    # Of the median of a normal sample, whose quartiles are 1.35 deviations apart.
    error = 1.25 * (quartiles[2] - quartiles[0]) / 1.35 / len(ratios) ** 0.5
    return [
        Row(name="a pass without a LoRA", value=1e3 * statistics.median(passes), unit="ms"),
        Row(name="steady state after merging", value=statistics.median(ratios), unit="x", must=1.01, aim=1.0),
        Row(name="steady state, standard error", value=error, unit="x"),
        Row(name="rounds", value=len(ratios), unit=""),
    ]


def _timed(step: Step) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


if __name__ == "__main__":
    typer.run(main)
