"""How soon is a keystroke seen beside other programs, and on one core? Ratios against the quiet machine, in one run.

    python -m benchmarks.live_shared --json            six minutes on two quiet cores
    python -m benchmarks.live_shared --json --sweep    also under each fixed policy of waiting; fifteen minutes

A browser and a call on the same laptop are the other programs; here they are processes that never rest, one of them
or one for each core. What the machine itself reaches is measured first and stands in the details.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from benchmarks.harness import RESULTS, Row, find_limits, report
from benchmarks.live import Typist, close_typist, open_typist, type_at
from benchmarks.live_studio import OpenStudio, open_studio
from benchmarks.typing_script import answer_ms, percentile, type_text

WARM_KEYSTROKES = 12
POLICIES = {
    "spinning long": {"GOMP_SPINCOUNT": "300000"}, "spinning for 3,000": {"GOMP_SPINCOUNT": "3000"},
    "spinning for 500": {"GOMP_SPINCOUNT": "500"}, "asleep": {"OMP_WAIT_POLICY": "PASSIVE"},
}  # fmt: skip
"""Fixed policies of waiting, by what the process hears."""
FREE = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Waits:
    """Milliseconds from keystroke to frame."""

    p50: float
    p95: float


def main(
    weights: Annotated[Path | None, typer.Option(help="Folder of weights. Default: those that ship.")] = None,
    keystrokes: Annotated[int, typer.Option(help="Keystrokes in each setting.")] = 240,
    sweep: Annotated[bool, typer.Option("--sweep", help="Also under each fixed policy of waiting.")] = False,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    for variable in FREE:  # the studio is to choose for itself
        os.environ.pop(variable, None)
    limits = find_limits(torch.device("cpu"), torch.float32)
    details: dict[str, Any] = {"gflops": limits.gflops, "gb_per_s": limits.gb_per_s}
    cores = sorted(os.sched_getaffinity(0))

    def waits(beside: int = 0, variables: Mapping[str, str] | None = None, on: Collection[int] = ()) -> Waits:
        return measure(weights, keystrokes, beside=beside, variables=variables, cores=on)

    quiet, one, each, alone = waits(), waits(beside=1), waits(beside=len(cores)), waits(on=cores[:1])
    again = waits()  # before and after, for the machine may have changed
    quiet = Waits(p50=min(quiet.p50, again.p50), p95=min(quiet.p95, again.p95))
    rows = [
        Row(name="quiet, p50", value=quiet.p50, unit="ms", must=45.0, aim=25.0),
        Row(name="quiet, p95", value=quiet.p95, unit="ms", must=70.0, aim=40.0),
        Row(name="beside one process, p50", value=one.p50 / quiet.p50, unit="x", must=1.4, aim=1.25),
        Row(name="beside one process, p95", value=one.p95 / quiet.p95, unit="x", must=1.5, aim=1.25),
        Row(name="beside one on each core, p50", value=each.p50 / quiet.p50, unit="x", must=2.5, aim=2.0),
        Row(name="beside one on each core, p95", value=each.p95 / quiet.p95, unit="x", must=3.0, aim=2.0),
        Row(name="on one core, p50", value=alone.p50 / quiet.p50, unit="x", must=2.2, aim=1.8),
    ]
    if sweep:
        fixed = {name: waits(variables=variables) for name, variables in POLICIES.items()}
        details["fixed"] = {name: [found.p50, found.p95] for name, found in fixed.items()}
        best = min(found.p50 for found in fixed.values())
        rows.append(
            Row(name="quiet against the best fixed policy, p50", value=quiet.p50 / best, unit="x", must=1.03, aim=1.0)
        )  # fmt: skip
    report("live-shared", rows, details, as_json=as_json, folder=results)


def measure(
    weights: Path | None,
    keystrokes: int,
    *,
    beside: int,
    variables: Mapping[str, str] | None = None,
    cores: Collection[int] = (),
) -> Waits:
    """Type at a studio of its own and return how soon frames came.

    Args:
        beside: how many processes never rest beside it.
        variables: of the studio's environment.
        cores: those that it may use; all where none is named.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        open_studio(weights, Path(folder) / "gallery", variables=variables, cores=cores) as studio,
        restless(beside),
    ):
        asyncio.run(_type(studio, WARM_KEYSTROKES))
        typist = asyncio.run(_type(studio, keystrokes))
    waits = answer_ms(typist.sent, typist.came)
    return Waits(p50=percentile(waits, 50), p95=percentile(waits, 95))


@contextmanager
def restless(count: int) -> Iterator[None]:
    """Run `count` processes that never rest for the with-block."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def _type(studio: OpenStudio, keystrokes: int) -> Typist:
    typist, listening = await open_typist(studio)
    await type_at(typist, list(type_text(keystrokes)), studio.habits)
    await typist.wait_for(keystrokes)
    await close_typist(studio, typist, listening)
    return typist


if __name__ == "__main__":
    typer.run(main)
