"""Does a Qwen-Image of full size keep to what was foretold under a cap on a GPU's memory?

    python -m benchmarks.memory_cap --json                         # under 24 GiB, as `prima paint --memory 24` paints
    python -m benchmarks.memory_cap --memory 24 --memory 72        # then with room for all of it

The plan that such a cap leads to paints a picture of one step with guidance, while torch is held to the cap; its
peak, what torch's allocator handed out, is held against the forecast, and 1024 x 1024 is decoded whole and in tiles.

Weights are random. Those of equal shape share one piece of the computer's memory, so that 55 GB need be neither
written nor read: the GPU gets each of them for itself, as ever. `benchmarks.memory` measures every plan, on
a CPU too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from benchmarks.harness import RESULTS, Row, report, run_stages
from benchmarks.hollow import Size, write_hollow
from benchmarks.memory import _now, _peak, _reset
from torch import nn

from allaprima.core.events import Started, Step
from allaprima.paint.bases.loading import load_base
from allaprima.paint.contract.base import Base
from allaprima.paint.device.precision import pick_device, pick_dtype
from allaprima.paint.memory.forecast import STAGES, forecast
from allaprima.paint.memory.loading import limit_bytes
from allaprima.paint.memory.offload import use_growing_segments
from allaprima.paint.memory.plan import GIB, MemoryForecast, choose_plan
from allaprima.paint.memory.planned_base import PlannedBase, decode_in, release
from allaprima.paint.painter import Painter

CPU = torch.device("cpu")
DEVIATION = 0.02
"""Of the random weights: small, so that nothing overflows on the way."""


def main(
    memory: Annotated[
        list[float] | None, typer.Option(help="GiB that may be taken; may be given again. Default: 24.")
    ] = None,
    size: Annotated[str, typer.Option(help="tiny, medium or full.")] = "full",
    side: Annotated[int, typer.Option(help="Pixels of what is painted and decoded.")] = 1024,
    device: Annotated[str | None, typer.Option(help="Default: the first GPU, or else the CPU.")] = None,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    where = pick_device(device)
    dtype = pick_dtype(where)
    if where.type == "cuda":
        use_growing_segments()  # here, as late as a painter does it
    details: dict[str, Any] = {"device": str(where), "dtype": str(dtype), "cases": []}
    with tempfile.TemporaryDirectory() as name:
        folder = write_hollow(Path(name) / "qwen", "qwen", _size(size), dtype)
        foreseen = forecast(str(folder), width=side, height=side, device=where, dtype=dtype)
        shared = _Shared(pinned=where.type == "cuda")
        label = f"qwen {size} at {side}"
        painted = [
            partial(_painted, folder, label, foreseen, shared, where, cap, side, details)
            for cap in memory or [24.0]
        ]
        decoded = partial(_decoded, folder, label, shared, where, side)
        rows, whole = run_stages([painted[0], decoded, *painted[1:]])
    report("memory-cap", rows, details, as_json=as_json, folder=results)
    if not whole:
        raise typer.Exit(1)


class _Shared:
    """Random weights, one to a shape, in memory that a GPU can fetch from while it computes if `pinned`."""

    def __init__(self, *, pinned: bool) -> None:
        self._pinned = pinned
        self._by_shape: dict[tuple[object, ...], torch.Tensor] = {}
        self._pattern = torch.randn(2**20, generator=torch.Generator().manual_seed(0)) * DEVIATION

    def fill(self, networks: Sequence[nn.Module]) -> None:
        """Give every weight on the meta device numbers."""
        for network in networks:
            for module in network.modules():
                for name, weight in module._parameters.items():
                    if weight is not None and weight.is_meta:
                        numbers = self._like(weight)
                        module._parameters[name] = nn.Parameter(numbers, requires_grad=False)

    def _like(self, weight: torch.Tensor) -> torch.Tensor:
        key = (weight.shape, weight.stride(), weight.dtype)
        if key not in self._by_shape:
            rounds = -(-weight.numel() // len(self._pattern))
            pattern = self._pattern.to(weight.dtype).repeat(rounds)[: weight.numel()]
            numbers = torch.empty_like(weight, device=CPU).copy_(pattern.view(weight.shape))
            self._by_shape[key] = numbers.pin_memory() if self._pinned else numbers
        return self._by_shape[key]


def _base(folder: Path, shared: _Shared, dtype: torch.dtype) -> Base:
    """A base on the CPU, as one under a plan begins."""
    base = load_base(str(folder), device=CPU, dtype=dtype, absent=STAGES)
    for networks in base.stages().values():
        shared.fill(networks)
    return base


def _painted(
    folder: Path,
    label: str,
    foreseen: list[MemoryForecast],
    shared: _Shared,
    device: torch.device,
    memory: float,
    side: int,
    details: dict[str, Any],
) -> Iterator[Row]:
    """A picture of one step with guidance under the plan that `memory` GiB lead to."""
    release()
    allowed = limit_bytes(memory, device)
    told = choose_plan(foreseen, allowed, str(device))
    plan = told.plan
    _reset(device)
    before = _now(device)
    base = _base(folder, shared, pick_dtype(device))
    if plan.residency == "resident":
        for network in (one for networks in base.stages().values() for one in networks):
            network.to(device)
    thrifty = PlannedBase(base, plan, device=device, limit=allowed, planned=side * side)
    painter = Painter(base=thrifty, guarded=False)
    peaks = {"load": _peak(device)}
    request = painter.request(
        prompt="a cat on a rooftop at sunset", negative_prompt="blurry", width=side, height=side, steps=1,
        guidance=4.0, seed=1,
    )  # fmt: skip
    _reset(device)
    for event in painter.events(request):
        moment = "text" if isinstance(event, Started) else "predict" if isinstance(event, Step) else "decode"
        peaks[moment] = _peak(device)
        _reset(device)
    if thrifty.plan != plan:
        raise RuntimeError(
            f"it was painted under the plan {thrifty.plan}; expected {plan}, so memory ran out"
        )
    case = {
        "plan": str(plan), "memory": memory, "foretold": told.to_json(), "taken": peaks, "before": before,
        **_allocator(device),
    }  # fmt: skip
    details["cases"].append(case)
    name, peak = f"{label} under {memory:g} GiB, {plan}", max(peaks.values())
    yield Row(name=f"{name}: peak", value=peak / GIB, unit="GiB")
    yield Row(name=f"{name}: forecast", value=told.peak_bytes / GIB, unit="GiB")
    off = 100 * abs(told.peak_bytes / peak - 1)
    yield Row(name=f"{name}: forecast is off by", value=off, unit="%", must=10.0, aim=5.0)
    if device.type == "cuda":
        yield Row(name=f"{name}: reserved", value=case["reserved"] / GIB, unit="GiB", must=memory)
    for moment, taken in peaks.items():
        yield Row(name=f"{name}: {moment}", value=taken / GIB, unit="GiB")
        yield Row(name=f"{name}: {moment}, forecast", value=told.bytes_by_moment[moment] / GIB, unit="GiB")


def _decoded(folder: Path, label: str, shared: _Shared, device: torch.device, side: int) -> Iterator[Row]:
    """The decoder alone: what it takes beside what was there before."""
    release()
    base = load_base(str(folder), device=CPU, dtype=pick_dtype(device), absent=STAGES)
    decoder = base.stages()["decode"]
    shared.fill(decoder)
    for network in decoder:
        network.to(device)
    taken = {}
    with torch.inference_mode():
        # Noise is drawn where the denoiser is, and that has no weights here.
        latents = torch.randn(1, *base.noise([0], side, side).shape[1:]).to(device)
        base.decode(latents[..., :4, :4])  # what libraries take once for themselves
        for tiled in (False, True):
            release()
            _reset(device)
            before = _now(device)
            decode_in(base, latents, tiled=tiled)
            taken[tiled] = _peak(device) - before
    yield Row(name=f"{label}: decode whole", value=taken[False] / GIB, unit="GiB")
    yield Row(name=f"{label}: decode in tiles", value=taken[True] / GIB, unit="GiB")
    share = taken[True] / taken[False]
    yield Row(name=f"{label}: decode in tiles / whole", value=share, unit="x", must=1 / 3, aim=1 / 4)


def _allocator(device: torch.device) -> dict[str, Any]:
    """What torch took of a GPU altogether, and whether its segments could grow."""
    if device.type != "cuda":
        return {}
    segments = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
    return {
        "reserved": torch.cuda.max_memory_reserved(device),
        "growing": any(segment.get("is_expandable") for segment in segments),
    }


def _size(word: str) -> Size:
    if word not in ("tiny", "medium", "full"):
        raise typer.BadParameter(f"got the size {word!r}; expected tiny, medium or full")
    return word  # type: ignore[return-value]  # one of them


if __name__ == "__main__":
    typer.run(main)
