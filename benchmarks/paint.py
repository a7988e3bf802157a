"""How long does a picture take, from the command to the file and stage by stage?

    python -m benchmarks.paint --json

Stages are timed warm, at batch 1, in float32 and, where the hardware multiplies it, in bf16. Beside each stands
the share of the machine's own limit: the time its arithmetic or its weights would take at the speed measured on
a bare matrix product and a bare copy, divided by the time it took.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from benchmarks.harness import RESULTS, Limits, Row, Timing, count_flops, find_limits, measure, report

from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.vignette.base import VignetteBase, load_vignette
from allaprima.paint.device.precision import pick_device, pick_dtype
from allaprima.paint.pipeline.pictures import to_pictures

REQUEST = GenerationRequest(prompt="a cat wearing sunglasses on a rooftop at sunset", seed=7)
AIMS_MS = {"text": 5.0, "step": 7.0, "decode": 7.0, "jpeg": 0.2}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One thing that is done for every picture."""

    name: str
    action: Callable[[], object]
    weight_bytes: int = 0
    """What it reads of the model, at least once."""


def main(
    weights: Annotated[Path | None, typer.Option(help="Folder of weights. Default: those that ship.")] = None,
    runs: Annotated[int, typer.Option(help="Runs of each stage.")] = 60,
    cold_runs: Annotated[int, typer.Option(help="Runs of the command.")] = 3,
    matrix_side: Annotated[int, typer.Option(help="Rows and columns of the yardstick's matrices.")] = 2048,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    device = pick_device()
    rows: list[Row] = []
    details: dict[str, Any] = {"stages": {}, "limits": {}}
    for label, steps, guidance in (("one step", 1, 1.0), ("50 steps, guidance 4", 50, 4.0)):
        if cold_runs:
            command = _command(weights, steps, guidance)
            cold = measure(partial(_paint_cold, command), cold_runs, warm_up=1)
            details["stages"][f"cold start, {label}"] = asdict(cold)
            rows.append(Row(name=f"cold start to file, {label}", value=cold.median_ms / 1e3, unit="s"))
    for dtype in dict.fromkeys((torch.float32, pick_dtype(device))):
        short = str(dtype).removeprefix("torch.").replace("float", "fp").replace("bfp", "bf")
        limits = find_limits(device, dtype, matrix_side)
        details["limits"][short] = asdict(limits)
        rows.append(
            Row(name=f"matrix product, {short}", value=limits.gflops, unit="GFLOP/s", better="higher")
        )
        rows.append(Row(name=f"copy, {short}", value=limits.gb_per_s, unit="GB/s", better="higher"))
        with torch.inference_mode():
            for stage in _stages(_load(weights, device, dtype)):
                timing = measure(stage.action, runs)
                flops = count_flops(stage.action)
                rows += _stage_rows(stage, short, timing, flops, limits)
                details["stages"][f"{stage.name}, {short}"] = {**asdict(timing), "gflop": flops / 1e9}
    report("paint", rows, details, as_json=as_json, folder=results)


def _load(weights: Path | None, device: torch.device, dtype: torch.dtype) -> VignetteBase:
    base = load_vignette(weights, device)
    base.denoiser.to(dtype)
    base.autoencoder.to(dtype)
    return base


def _stages(base: VignetteBase) -> Iterator[Stage]:
    text = base.encode_text([REQUEST.prompt])
    both = base.encode_text([REQUEST.prompt, REQUEST.negative_prompt])
    latents = base.noise([REQUEST.seed], REQUEST.width, REQUEST.height)
    times = torch.full((2,), 0.5, device=latents.device)
    picture = to_pictures(base.decode(latents), [REQUEST])[0]
    denoiser = _num_bytes(base.denoiser)
    yield Stage(
        name="text",
        action=lambda: base.encode_text([REQUEST.prompt]),
        weight_bytes=_num_bytes(base.text.layers),
    )
    yield Stage(name="step", action=lambda: base.predict(latents, times[:1], text), weight_bytes=denoiser)
    yield Stage(
        name="step with guidance",
        action=lambda: base.predict(torch.cat([latents, latents]), times, both),
        weight_bytes=denoiser,
    )
    decoder = _num_bytes(base.autoencoder.decoder)
    yield Stage(name="decode", action=lambda: base.decode(latents), weight_bytes=decoder)
    yield Stage(name="jpeg", action=lambda: picture.encode("jpeg"))
    yield Stage(name="png", action=lambda: picture.encode("png"))


def _stage_rows(stage: Stage, short: str, timing: Timing, flops: float, limits: Limits) -> Iterator[Row]:
    name = f"{stage.name}, {short}"
    yield Row(name=name, value=timing.median_ms, unit="ms", aim=AIMS_MS.get(stage.name))
    yield Row(name=f"{name}, p95", value=timing.p95_ms, unit="ms")
    if flops:
        share = limits.shortest_ms(flops, stage.weight_bytes) / timing.median_ms
        yield Row(name=f"{name}, share of the limit", value=100 * share, unit="%", better="higher")


def _num_bytes(module: torch.nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.parameters())


def _command(weights: Path | None, steps: int, guidance: float) -> list[str]:
    start = "from allaprima.cli.app import main; main()"
    options = ["--seed", "7", "--steps", str(steps), "--guidance", str(guidance)]
    chosen = [] if weights is None else ["--weights", str(weights.resolve())]
    return [sys.executable, "-c", start, "paint", REQUEST.prompt, *options, *chosen]


def _paint_cold(command: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


if __name__ == "__main__":
    typer.run(main)
