"""Does what people have paint here as it paints in stock diffusers, or is it refused in a sentence?

    python -m benchmarks.parity --json
    python -m benchmarks.parity --only "loras, layouts" --json

Tiny checkpoints of the real classes: every scheduler, spacing and curve of levels at 1, 4 and 30 steps, pictures,
LoRA dialects, and folders and files as people have them. Two pictures are equal within one level of 255.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer
from benchmarks.harness import RESULTS, Row, drawn_between, report
from benchmarks.parity_bench import Outcome, run_case
from benchmarks.parity_cases import Case, all_cases


def main(
    only: Annotated[
        str, typer.Option(help="Groups to try, separated by commas; all of them by default.")
    ] = "",
    workers: Annotated[int, typer.Option(help="Processes that paint.", min=1)] = 2,
    results: Annotated[Path, typer.Option(help="Folder of dated results.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End stdout with one JSON line.")] = False,
) -> None:
    """Compare all cases and report how many are equal, refused, or neither."""
    groups = {name.strip() for name in only.split(",") if name.strip()}
    cases = [case for case in all_cases() if not groups or case.group in groups]
    if not cases:
        known = ", ".join(dict.fromkeys(case.group for case in all_cases()))
        print(f"got --only {only!r}; expected some of {known}", file=sys.stderr)
        raise typer.Exit(2)
    started = time.perf_counter()
    outcomes = compare(cases, workers)
    rows = list(_rows(outcomes, time.perf_counter() - started, whole=not groups))
    odd = [outcome for outcome in outcomes if outcome.verdict == "apart"]
    for outcome in odd:
        print(f"{outcome.case.group}: {outcome.case.name}: {outcome.told}", file=sys.stderr)
    cases_told = [
        {"group": one.case.group, "name": one.case.name, "verdict": one.verdict, "told": one.told}
        for one in outcomes
    ]
    report("parity", rows, {"cases": cases_told}, as_json=as_json, folder=results)
    raise typer.Exit(1 if odd else 0)


def compare(cases: list[Case], workers: int) -> list[Outcome]:
    """Return what comes of `cases`, in order."""
    outcomes: list[Outcome] = []
    # Spawned: a fork would copy threads of torch that are not there any more.
    with (
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
        drawn_between("comparing", len(cases)) as advance,
    ):
        for outcome in pool.map(run_case, cases, chunksize=8):
            outcomes.append(outcome)
            advance()
    return outcomes


def _rows(outcomes: list[Outcome], seconds: float, *, whole: bool) -> list[Row]:
    counts = Counter(outcome.verdict for outcome in outcomes)
    groups = Counter((outcome.case.group, outcome.verdict) for outcome in outcomes)
    return [
        Row(name="cases", value=len(outcomes), unit="", better="higher"),
        Row(
            name="equal or refused",
            value=counts["equal"] + counts["refused"],
            unit="",
            must=700 if whole else None,
            better="higher",
        ),
        Row(name="equal to stock within one level", value=counts["equal"], unit="", better="higher"),
        Row(name="refused in a sentence", value=counts["refused"], unit=""),
        Row(name="neither", value=counts["apart"], unit="", must=0),
        *(
            Row(
                name=f"{group}, {verdict}",
                value=count,
                unit="",
                better="higher" if verdict == "equal" else "lower",
            )
            for (group, verdict), count in groups.items()
        ),
        Row(name="time", value=seconds, unit="s", must=600 if whole else None),
    ]


if __name__ == "__main__":
    typer.run(main)
