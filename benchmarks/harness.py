"""What every benchmark does the same way: timing, the machine's own limits, rows, dated results.

A result names its hardware, versions and commit, and its rows say which way is better and what is aimed at:

    {"name": "step, bf16", "value": 8.9, "unit": "ms", "must": null, "aim": 7.0, "better": "lower"}
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

from allaprima.core.progress import progress_bar

RESULTS = Path(__file__).parent / "results"
COMMIT = "ALLAPRIMA_COMMIT"
"""The variable that names the commit to a machine that has the files and no repository."""
_VERSIONS = ("torch", "diffusers", "pillow", "numpy")
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number and what it should be."""

    name: str
    value: float
    unit: str
    must: float | None = None
    aim: float | None = None
    better: Literal["lower", "higher"] = "lower"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Milliseconds of one operation over many runs."""

    median_ms: float
    p95_ms: float
    runs: int


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the machine reaches with nothing else to do: the yardstick for everything else."""

    gflops: float
    """Billions of floating-point operations a second in a product of large square matrices."""
    gb_per_s: float
    """Billions of bytes a second, read and written, while copying 256 MiB."""

    def shortest_ms(self, flops: float, num_bytes: float) -> float:
        """Return the time below which so much work cannot be done here, whichever limit is felt first."""
        return 1e3 * max(flops / (self.gflops * 1e9), num_bytes / (self.gb_per_s * 1e9))


def measure(action: Callable[[], object], runs: int, warm_up: int = 3) -> Timing:
    """Return how long `action` takes once it has been run `warm_up` times."""
    for _ in range(warm_up):
        action()
    times = []
    for _ in range(runs):
        _synchronize()
        started = time.perf_counter()
        action()
        _synchronize()
        times.append((time.perf_counter() - started) * 1e3)
    p95 = sorted(times)[min(runs - 1, int(0.95 * runs))]
    return Timing(median_ms=statistics.median(times), p95_ms=p95, runs=runs)


def count_flops(action: Callable[[], object]) -> float:
    """Return the floating-point operations of the matrix products and convolutions in `action`."""
    with FlopCounterMode(display=False) as counter:
        action()
    return float(counter.get_total_flops())


def find_limits(device: torch.device, dtype: torch.dtype, side: int = 2048, mib: int = 256) -> Limits:
    """Measure the limits of `device` for numbers of `dtype`."""
    a = torch.randn(side, side, device=device).to(dtype)
    product = measure(lambda: a @ a, runs=7)
    source = torch.zeros(mib * 2**20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = measure(lambda: target.copy_(source), runs=7)
    return Limits(
        gflops=2 * side**3 / product.median_ms / 1e6, gb_per_s=2 * source.numel() / copy.median_ms / 1e6
    )


def describe_machine() -> dict[str, Any]:
    """Return the hardware, versions and commit a result belongs to."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    flags = values.get("flags", "").split()
    return {
        "cpu": values.get("model name", platform.processor()),
        "cpu_flags": [flag for flag in _FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _VERSIONS},
        "commit": _commit(),
    }


def run_stages(stages: Iterable[Callable[[], Iterable[Row]]]) -> tuple[list[Row], bool]:
    """Return the rows of all stages, and whether all came to their end.

    Rows are told of as they come. A stage that fails is told of too, and the others go on; an interrupt ends the
    whole with what there is by then.
    """
    rows: list[Row] = []
    whole = True
    try:
        for stage in stages:
            try:
                for row in stage():
                    print(f"{row.name}: {row.value:,.3f} {row.unit}", file=sys.stderr, flush=True)
                    rows.append(row)
            except Exception:  # noqa: BLE001 (here is the edge: what else was measured still counts)
                traceback.print_exc()
                whole = False
    except KeyboardInterrupt:
        print("interrupted: what was measured so far is kept", file=sys.stderr)
        whole = False
    return rows, whole


def report(
    question: str, rows: Sequence[Row], details: dict[str, Any], *, as_json: bool, folder: Path
) -> Path:
    """Print `rows`, write them to a dated file in `folder` and return its path."""
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now:%Y-%m-%d-%H%M%S}-{question}.json"
    plain = [asdict(row) for row in rows]
    data = {
        "question": question,
        "date": now.isoformat(),
        "machine": describe_machine(),
        "rows": plain,
        **details,
    }
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        aim = "" if row.aim is None else f"   aim {row.aim:g}"
        print(f"{row.name:<44}{row.value:>12,.3f} {row.unit}{aim}")
    print(path)
    if as_json:
        print(json.dumps({"rows": plain, "result": str(path)}))
    return path


@contextmanager
def drawn_between(label: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on stderr that moves on when the yielded function is called, and is drawn at no other time.

    A bar that draws itself would do so while something is timed.
    """
    bar = progress_bar()
    bar.live.auto_refresh = False
    with bar:
        task = bar.add_task(label, total=total)

        def advance() -> None:
            bar.advance(task)
            bar.refresh()

        yield advance


def _commit() -> str:
    if shutil.which("git") is None:
        return os.environ.get(COMMIT, "unknown")

    def git(*arguments: str) -> str:
        ran = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
        return ran.stdout.strip()

    changed = "+changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return (git("rev-parse", "HEAD") or os.environ.get(COMMIT, "unknown")) + changed


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
