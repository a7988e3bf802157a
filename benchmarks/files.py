"""Do the files that people have paint, and what do quantised weights cost?

    python -m benchmarks.files --json

The layouts against stock diffusers, loading, forecasts, LoRAs on quantised layers, int8 in SDXL's step, and what the
judge makes of Vignette with rounded weights. It takes some minutes and 1 GB on the disk; --only runs one stage.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from benchmarks.files_layers import lora_rows, step_rows
from benchmarks.files_memory import forecast_rows, loading_rows, plan_rows
from benchmarks.files_pictures import layout_rows, vignette_rows
from benchmarks.harness import RESULTS, Row, report, run_stages
from benchmarks.malformed_files import malformed_rows

from allaprima.core.errors import UserError


def main(
    prompts: Annotated[int, typer.Option(help="Prompts that Vignette paints in each format.")] = 90,
    side: Annotated[int, typer.Option(help="Pixels a side of the picture that SDXL's step is for.")] = 512,
    only: Annotated[str | None, typer.Option(help="One stage: layouts, loading, ... Default: all.")] = None,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    """Measure, and write a dated result."""
    with tempfile.TemporaryDirectory() as name:
        stages = _stages(Path(name), prompts, side)
        if only is not None and only not in stages:
            raise UserError(f"got --only {only}; expected {', '.join(stages)}")
        rows, whole = run_stages([stages[stage] for stage in stages if only in (None, stage)])
    details: dict[str, Any] = {"prompts": prompts, "side": side, "only": only}
    report("files", rows, details, as_json=as_json, folder=results)
    if not whole:
        raise typer.Exit(1)


def _stages(folder: Path, prompts: int, side: int) -> dict[str, Callable[[], Iterator[Row]]]:
    return {
        "layouts": partial(layout_rows, folder / "layouts"),
        "malformed": partial(malformed_rows, folder / "malformed"),
        "lora": lora_rows,
        "plans": partial(plan_rows, folder / "plans"),
        "forecasts": partial(forecast_rows, folder / "forecasts"),
        "loading": partial(loading_rows, folder),
        "int8": partial(step_rows, side),
        "vignette": partial(vignette_rows, prompts),
    }


if __name__ == "__main__":
    typer.run(main)
