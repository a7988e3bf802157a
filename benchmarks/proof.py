"""Did a refactoring leave every picture and every training as it was, to the last bit?

    python -m benchmarks.proof --results /tmp --json > /tmp/before.json    three minutes on one quiet core
    python -m benchmarks.proof --results /tmp --against /tmp/before.json   what differs; exit code 1 if anything does
    python -m benchmarks.proof --results /tmp --against /tmp/before.json --only pictures

Pictures of all families are hashed in fp32, with live frames and a job of the engine, then 20 updates of every
training, in the format that the machine trains in. The hashes hold for one machine. Torch computes on one thread,
because the last bits of a sum depend on the number of threads. Results are not committed.
"""

from __future__ import annotations

import functools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal
from unittest import mock

import torch
import typer
from benchmarks.harness import RESULTS, Row, report, run_stages
from benchmarks.proof_distillations import qwen_students, sdxl_students, vignette_students
from benchmarks.proof_engine import engine_pictures
from benchmarks.proof_hashes import Hashed
from benchmarks.proof_pictures import qwen_pictures, sdxl_pictures, vignette_pictures
from benchmarks.proof_trainings import judge_training, part_trainings, text_training

Hashes = dict[str, str]
"""Names, each with its part before a colon, to hashes."""
Part = Literal["pictures", "trainings"]
Stage = Callable[[Path], Hashed]
"""What hashes some of a part, in a folder that all stages share."""

STAGES: dict[Part, tuple[Stage, ...]] = {
    "pictures": (vignette_pictures, qwen_pictures, sdxl_pictures, engine_pictures),
    "trainings": (
        *(part_trainings, text_training, judge_training),
        *(vignette_students, qwen_students, sdxl_students),
    ),
}


def main(
    only: Annotated[Part | None, typer.Option(help="Leave out the other half.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="The output or the dated result of an earlier run, to compare with.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    before = None if against is None else read_hashes(against)
    parts = tuple(STAGES) if only is None else (only,)
    rows, hashes, complete = hash_parts(parts)
    details: dict[str, Any] = {"hashes": hashes}
    if before is not None:
        expected = {name: digest for name, digest in before.items() if name.startswith(parts)}
        details["differences"] = list(differences(expected, hashes))
        rows.append(Row(name="differences", value=len(details["differences"]), unit="", must=0))
        for line in details["differences"]:
            print(line)
    path = report("proof", rows, details, as_json=False, folder=results)
    if as_json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "result": str(path), **details}))
    if not complete or details.get("differences"):
        raise typer.Exit(1)


def hash_parts(parts: tuple[Part, ...]) -> tuple[list[Row], Hashes, bool]:
    """Return rows and hashes of all stages of `parts`, and whether all stages came to their end."""
    torch.set_num_threads(1)
    hashes: Hashes = {}
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ):
        os.environ |= {"ALLAPRIMA_CACHE": f"{folder}/cache", "CUDA_VISIBLE_DEVICES": ""}
        stages = [
            functools.partial(_run_stage, part, stage, Path(folder), hashes)
            for part in parts
            for stage in STAGES[part]
        ]
        rows, complete = run_stages(stages)
    return rows, hashes, complete


def _run_stage(part: Part, stage: Stage, folder: Path, hashes: Hashes) -> Iterator[Row]:
    """Run a stage, add its hashes to `hashes`, and yield their number and its time."""
    started, num_before = time.perf_counter(), len(hashes)
    for name, digest in stage(folder):
        full_name = f"{part}: {name}"
        if full_name in hashes:
            raise RuntimeError(f"got {full_name!r} twice; expected a name for each hash")
        hashes[full_name] = digest
    label = stage.__name__.replace("_", " ")
    yield Row(name=f"{label}, hashes", value=len(hashes) - num_before, unit="", better="higher")
    yield Row(name=label, value=time.perf_counter() - started, unit="s")


def read_hashes(path: Path) -> Hashes:
    """Return the hashes of an earlier run, from its dated result or from its output, whose last line is JSON."""
    text = path.read_text(encoding="utf-8").strip()
    try:
        result = json.loads(text)
    except ValueError:
        result = json.loads(text.splitlines()[-1])
    hashes: Hashes = result["hashes"]
    return hashes


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each hash that is new, missing or another than before."""
    for name in dict.fromkeys((*before, *now)):
        if before.get(name) != now.get(name):
            yield f"{'new' if name not in before else 'missing' if name not in now else 'differs'}: {name}"


if __name__ == "__main__":
    typer.run(main)
