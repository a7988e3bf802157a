"""Does a picture take the memory that was foretold, and do tiles save what they should?

    python -m benchmarks.memory --json
    python -m benchmarks.memory --full-size sdxl --json      (about 16 GB)

Every plan paints in a process of its own, whose peak is held against what `prima plan` says in another: the resident
set on a CPU, what torch's allocator handed out on a GPU. Decoders are measured alone, by what they take beside what
was there before. Vignette and a tiny Qwen-Image are painted as they are, models of full size as checkpoints of real
shapes without numbers (`hollow`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from benchmarks.harness import RESULTS, Row, report
from benchmarks.hollow import write_hollow

from allaprima.core.events import Started, Step
from allaprima.paint.bases.loading import load_base
from allaprima.paint.contract.base import Base
from allaprima.paint.device.precision import choose_dtype, pick_device
from allaprima.paint.memory.forecast import forecast
from allaprima.paint.memory.loading import load_planned
from allaprima.paint.memory.plan import GIB, plans_for
from allaprima.paint.memory.planned_base import decode_in
from allaprima.paint.memory.process_memory import keep_heap_small, peak_bytes, resident_bytes
from allaprima.paint.painter import Painter

DECODED = 1024
"""Pixels along a side of what is decoded whole and in tiles."""


def main() -> None:
    """Measure, and write a dated result."""
    given = _arguments()
    if given.case is not None:
        print(json.dumps(_run_case(json.loads(given.case))))
        return
    rows: list[Row] = []
    details: dict[str, Any] = {"cases": []}
    with tempfile.TemporaryDirectory() as folder:
        for name, spec, side in _models(given, Path(folder)):
            where = {
                "spec": spec, "side": side, "device": given.device, "precision": given.precision,
                "memory": given.memory,
            }  # fmt: skip
            rows += _forecasts(name, where, details)
            if spec != "vignette":  # which paints nothing so large
                rows.append(_tiles(name, where))
    report("memory", rows, details, as_json=given.json, folder=given.results)


def _models(given: argparse.Namespace, folder: Path) -> Iterator[tuple[str, str, int]]:
    """Name, place and side in pixels of what is painted."""
    if not given.full_size:
        yield "Vignette", "vignette", 256
        yield "tiny Qwen-Image", str(_write_tiny_qwen(folder / "tiny-qwen")), given.side
    for family in given.full_size:
        where = write_hollow(folder / family, family, given.size, choose_dtype("cpu", given.stored))
        yield f"{family} {given.size}", str(where), given.side


def _write_tiny_qwen(folder: Path) -> Path:
    from tests.tiny_qwen import write_tiny_qwen

    return write_tiny_qwen(folder)


def _forecasts(name: str, where: dict[str, Any], details: dict[str, Any]) -> Iterator[Row]:
    foretold = _child({**where, "do": "foretell"})
    for plan, told in foretold.items():
        if where["memory"] is not None and told["peak"] > where["memory"] * GIB:
            continue
        taken = _child({**where, "do": "paint", "plan": plan})
        label = f"{name} at {where['side']}, {plan}"
        details["cases"].append({"name": label, "foretold": told, "taken": taken})
        off = 100 * abs(told["peak"] / taken["peak"] - 1)
        yield Row(name=f"{label}: peak", value=taken["peak"] / GIB, unit="GiB")
        yield Row(name=f"{label}: forecast is off by", value=off, unit="%", must=10.0, aim=5.0)


def _tiles(name: str, where: dict[str, Any]) -> Row:
    case = {**where, "do": "decode", "side": DECODED}
    whole, tiled = (_child({**case, "tiled": tiled})["peak"] for tiled in (False, True))
    label = f"{name} at {DECODED}, decode in tiles / whole"
    return Row(name=label, value=tiled / whole, unit="x", must=1 / 3, aim=1 / 4)


def _child(case: dict[str, Any]) -> dict[str, Any]:
    """Run one case in a process of its own, whose peak is its own."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.memory", "--case", json.dumps(case)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"case {case} failed:\n{ran.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    told = ", ".join(f"{key} {value}" for key, value in case.items() if value is not None)
    print(f"{told}: {json.dumps(answer)}", file=sys.stderr)  # a full-size run takes long
    return answer


def _run_case(case: dict[str, Any]) -> dict[str, Any]:
    device = pick_device(case["device"])
    dtype = choose_dtype(device, case["precision"])
    if case["do"] == "foretell":
        side = case["side"]
        told = forecast(case["spec"], width=side, height=side, device=device, dtype=dtype)
        return {
            str(one.plan): {"peak": one.peak_bytes, "by_moment": one.bytes_by_moment} for one in told
        }  # fmt: skip
    return (_decode if case["do"] == "decode" else _paint)(case, device, dtype)


def _paint(case: dict[str, Any], device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """A picture of one step with guidance, as a painter paints it."""
    side, before = case["side"], _now(device)
    plan = next(plan for plan in plans_for(device.type) if str(plan) == case["plan"])
    # Without the guard: what comes of weights without numbers would be looked at twice.
    base = load_planned(
        case["spec"], device=device, dtype=dtype, plan=plan, memory_gib=case["memory"], size=(side, side)
    )
    painter = Painter(base=base, guarded=False)
    peaks = {"load": _peak(device)}
    request = painter.request(
        prompt="a cat on a rooftop at sunset", negative_prompt="blurry", width=side, height=side, steps=1,
        guidance=4.0, seed=1,
    )  # fmt: skip
    for event in painter.events(request):
        moment = "text" if isinstance(event, Started) else "predict" if isinstance(event, Step) else "decode"
        peaks[moment] = _peak(device)
    if base.plan != plan:
        raise RuntimeError(f"it was painted under the plan {base.plan}; expected {plan}, so memory ran out")
    return {"peak": _peak(device), "by_moment": peaks, "before": before}


def _decode(case: dict[str, Any], device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """The decoder alone: what it takes beside what was there before."""
    side = case["side"]
    with torch.inference_mode():
        base: Base = load_base(case["spec"], device=device, dtype=dtype, absent=("text", "predict"))
        for network in base.stages()["predict"]:
            # It is asked for its device. What is never written to takes no memory on a CPU.
            network.to_empty(device=device)
        latents = base.noise([0], side, side)
        base.decode(base.noise([0], 64, 64))  # what libraries take once for themselves
        if case["tiled"]:
            keep_heap_small()  # as a base under such a plan does
        _reset(device)
        before = _now(device)
        decode_in(base, latents, tiled=case["tiled"])
    return {"peak": _peak(device) - before, "before": before}


def _peak(device: torch.device) -> int:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else peak_bytes()


def _now(device: torch.device) -> int:
    return int(torch.cuda.memory_allocated(device)) if device.type == "cuda" else resident_bytes()


def _reset(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins anew (man 5 proc)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--full-size", action="append", choices=("sdxl", "qwen"), default=[],
        help="paint this at its published size instead; may be given again",
    )  # fmt: skip
    parser.add_argument(
        "--size", choices=("tiny", "medium", "full"), default="full", help="how full --full-size is"
    )
    parser.add_argument("--side", type=int, default=1024, help="pixels of what is painted")
    parser.add_argument("--device", default=None)
    parser.add_argument("--precision", default="auto", help="what is computed in")
    parser.add_argument("--stored", default="fp16", help="what full-size checkpoints are stored in")
    parser.add_argument("--memory", type=float, default=None, help="GiB; plans that need more are left out")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
