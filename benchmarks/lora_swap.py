"""How long does a picture wait for another LoRA, and what does an attached one cost?

    python -m benchmarks.lora_swap --size sdxl --json

The same network, files and machine serve diffusers (load, hotswap, fuse) and the rack, in one run. A LoRA of rank 16
changes all attention layers, stored in bf16 as such files are. Waiting ends when the next pass could begin. Passes
without a LoRA, with one on its side path and with one merged take turns, so that a machine that slows down slows
all three.

The memory of 1,000 swaps over 100 files and the recompilations are measured on the tiny network: neither depends
on the size, and 100 files of full size would take 5 GB.
"""

from __future__ import annotations

import gc
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from benchmarks.harness import RESULTS, Row, drawn_between, measure, report, run_stages
from benchmarks.lora_networks import Size, build, one_pass, targets, write_kohya_lora, write_lora
from diffusers import UNet2DConditionModel
from torch._dynamo.utils import counters

from allaprima.paint.device.precision import pick_device, pick_dtype
from allaprima.paint.lora.files.layers import Layers
from allaprima.paint.lora.files.reader import LoraReader, read_lora
from allaprima.paint.lora.runtime.rack import Rack

DIFFUSERS_NAME = "worn"


@dataclass(frozen=True, kw_only=True)
class Stand:
    """A network, two LoRA files for it and one in kohya's layout with alphas, and how often to measure."""

    unet: UNet2DConditionModel
    step: Callable[[], torch.Tensor]
    files: tuple[Path, Path]
    kohya: Path
    runs: int


def main(
    size: Annotated[
        Size, typer.Option(help="tiny, attention or sdxl (10 GB in fp32, 14 GB at the peak).")
    ] = "tiny",
    rank: Annotated[int, typer.Option(help="Of the LoRAs.")] = 16,
    side: Annotated[int, typer.Option(help="Pixels a side of the picture a pass is for.")] = 512,
    runs: Annotated[int, typer.Option(help="Runs of each measurement.")] = 9,
    passes: Annotated[int, typer.Option(help="Rounds of passes without, beside and merged.")] = 5,
    swaps: Annotated[int, typer.Option(help="Swaps for the growth of memory.")] = 1000,
    num_files: Annotated[int, typer.Option(help="Files for the growth of memory.")] = 100,
    backend: Annotated[str, typer.Option(help="What compiles for the count of recompilations.")] = "inductor",
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    device = pick_device()
    dtype = pick_dtype(device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unet = build(size, device, dtype)
        shapes = targets(unet)
        files = (
            write_lora(folder / "a.safetensors", shapes, rank, seed=1),
            write_lora(folder / "b.safetensors", shapes, rank, seed=2),
        )
        kohya = write_kohya_lora(folder / "kohya.safetensors", shapes, rank, seed=3)
        stand = Stand(unet=unet, step=one_pass(unet, size, side), files=files, kohya=kohya, runs=runs)
        rows, whole = run_stages((partial(_diffusers_rows, stand), partial(_rack_rows, stand, passes)))
        rows += _ratios({row.name: row.value for row in rows}) if whole else []
        del stand, unet
        tiny = build("tiny", device, dtype)
        shapes_of_tiny = targets(tiny)
        many = [
            write_lora(folder / f"{i}.safetensors", shapes_of_tiny, rank, seed=i) for i in range(num_files)
        ]
        more, then = run_stages(
            (
                lambda: [_growth_row(tiny, many, swaps)],
                lambda: [_recompile_row(tiny, many[:10], side, backend)],
            )
        )
    details: dict[str, Any] = {
        "size": size,
        "rank": rank,
        "side": side,
        "dtype": str(dtype),
        "layers": len(shapes),
        "touched_weights": sum(num_out * num_in for num_out, num_in in shapes.values()),
        "growth_and_recompilations": {"size": "tiny", "swaps": swaps, "files": num_files, "backend": backend},
    }
    report(f"lora-swap-{size}", [*rows, *more], details, as_json=as_json, folder=results)
    if not (whole and then):
        raise typer.Exit(1)


def _diffusers_rows(stand: Stand) -> list[Row]:
    unet, (first, second) = stand.unet, stand.files
    load, fuse, unfuse = [], [], []
    rounds = max(2, stand.runs // 2)
    with drawn_between("diffusers", rounds) as advance:
        for _ in range(rounds):
            load.append(
                _timed(lambda: unet.load_lora_adapter(first, prefix="unet", adapter_name=DIFFUSERS_NAME))
            )
            fuse.append(_timed(lambda: unet.fuse_lora(adapter_names=[DIFFUSERS_NAME])))
            unfuse.append(_timed(unet.unfuse_lora))
            unet.unload_lora()
            advance()
    unet.load_lora_adapter(first, prefix="unet", adapter_name=DIFFUSERS_NAME)
    following = [second, first]

    def hotswap() -> None:
        unet.load_lora_adapter(following[0], prefix="unet", adapter_name=DIFFUSERS_NAME, hotswap=True)
        following.reverse()

    hot = measure(hotswap, runs=stand.runs, warm_up=1).median_ms
    unet.unload_lora()
    times = {
        "load_lora_adapter": statistics.median(load),
        "hotswap": hot,
        "fuse_lora": statistics.median(fuse),
        "unfuse_lora": statistics.median(unfuse),
    }
    return [Row(name=f"diffusers {name}", value=value, unit="ms") for name, value in times.items()]


def _rack_rows(stand: Stand, passes: int) -> list[Row]:
    unet, (first, second) = stand.unet, stand.files
    modules = {"unet": unet}
    reader = LoraReader(layers := Layers(modules))
    rack = Rack(modules)
    pristine = _digests(unet)
    for file, name in ((first, "a"), (second, "b")):
        rack.register(reader.read(file, name=name))
    following = ["a", "b"]

    def swap() -> None:
        rack.set_adapters({following[0]: 1.0})
        following.reverse()

    def drop(reader: LoraReader = reader, file: Path = first) -> None:
        rack.register(reader.read(file, name="dropped"))
        rack.set_adapters({"dropped": 1.0})

    def drop_after_idleness() -> float:
        rack.set_adapters({})
        rack.merge()
        reader.make_ready()
        return _timed(drop)

    weighed = iter(range(10**6))
    runs = stand.runs
    with drawn_between("the rack", 8) as advance:
        swapped = measure(swap, runs=10 * runs)
        advance()
        out_of_merge = []
        for _ in range(3):
            rack.merge()
            out_of_merge.append(_timed(swap))
        advance()
        busy = measure(drop, runs=runs, warm_up=1).median_ms
        advance()
        dropped = statistics.median([drop_after_idleness() for _ in range(runs)])
        advance()
        of_its_kind = measure(lambda: drop(LoraReader(layers)), runs=runs, warm_up=1).median_ms
        advance()
        with_alphas = measure(lambda: drop(LoraReader(layers), stand.kohya), runs=runs, warm_up=1).median_ms
        advance()
        slider = measure(lambda: rack.set_adapters({"a": 0.5 + next(weighed) / 1e6}), runs=runs)
        both = measure(
            lambda: rack.set_adapters({"a": 1.0, "b": 0.5 + next(weighed) / 1e6}), runs=runs, warm_up=1
        )
        advance()
        rack.set_adapters({"a": 1.0})
        rack.unmerge()
        first_merge = _timed(rack.merge)
        rack.set_adapters({"b": 1.0})
        merging = _timed(rack.merge)
        advance()
    rows = [
        Row(name="swap to a registered LoRA", value=swapped.median_ms, unit="ms", must=20, aim=3),
        Row(name="swap to a registered LoRA, p95", value=swapped.p95_ms, unit="ms"),
        Row(name="swap out of a merge", value=statistics.median(out_of_merge), unit="ms", must=20, aim=3),
        Row(name="swap to a LoRA just dropped in", value=dropped, unit="ms", must=120, aim=50),
        Row(name="the same, with no idle time before", value=busy, unit="ms", must=120, aim=50),
        Row(name="the same, the first file of its layout", value=of_its_kind, unit="ms", must=120, aim=50),
        Row(name="the same, kohya's layout with alphas", value=with_alphas, unit="ms", must=120, aim=50),
        Row(name="change of weight", value=slider.median_ms, unit="ms"),
        Row(name="change of weight, two LoRAs", value=both.median_ms, unit="ms"),
        Row(name="merge, when idle", value=merging, unit="ms"),
        Row(name="the first merge, which takes memory", value=first_merge, unit="ms"),
    ]
    rows += _pass_rows(rack, stand.step, passes)
    rows.append(_bits_row(rack, stand.step, unet, pristine))
    return rows


@torch.inference_mode()
def _pass_rows(rack: Rack, step: Callable[[], torch.Tensor], passes: int) -> list[Row]:
    """Hold each pass against the one without a LoRA of its own round, there and back, as machines slow down."""
    kinds: list[tuple[str, dict[str, float]]] = [
        ("without", {}), ("before merging", {"a": 1.0}), ("steady state after merging", {"a": 1.0}),
    ]  # fmt: skip
    rounds: list[dict[str, float]] = []
    with drawn_between("passes", passes * len(kinds)) as advance:
        for number in range(passes):
            times = {}
            for kind, wanted in kinds if number % 2 == 0 else kinds[::-1]:
                rack.set_adapters({})
                rack.set_adapters(wanted)
                if kind == "steady state after merging":
                    rack.merge()
                step()
                times[kind] = _timed(step)
                advance()
            rounds.append(times)
    without = statistics.median(times["without"] for times in rounds)
    rows = [Row(name="a pass without a LoRA", value=without, unit="ms")]
    for kind, must, aim in (("steady state after merging", 1.01, 1.00), ("before merging", 1.10, 1.04)):
        ratios = sorted(times[kind] / times["without"] for times in rounds)
        spread = ratios[3 * len(ratios) // 4] - ratios[len(ratios) // 4]
        rows.append(Row(name=kind, value=statistics.median(ratios), unit="x", must=must, aim=aim))
        rows.append(Row(name=f"{kind}, between its quartiles", value=spread, unit="x"))
    return rows


@torch.inference_mode()
def _bits_row(
    rack: Rack,
    step: Callable[[], torch.Tensor],
    unet: UNet2DConditionModel,
    pristine: dict[str, str],
) -> Row:
    """Count what is not as it was: the answers of A, and without a LoRA answers and weights.

    Side paths are compared with side paths and merges with merges, which differ from each other by rounding.
    """

    def answer(wanted: dict[str, float], *, merges: bool) -> torch.Tensor:
        rack.set_adapters(wanted)
        if merges:
            rack.merge()
        return step()

    differing = 0
    for merges in (False, True):
        rack.unmerge()  # what was merged before would be merged again at once
        plain, first, _, again, last = (
            answer(wanted, merges=merges) for wanted in ({}, {"a": 1.0}, {"b": 1.0}, {"a": 1.0}, {})
        )
        differing += int((first != again).sum() + (plain != last).sum())
        differing += sum(digest != pristine[path] for path, digest in _digests(unet).items())
    return Row(name="A, B, A and detach: what differs", value=float(differing), unit="numbers", must=0)


def _ratios(values: dict[str, float]) -> list[Row]:
    load, swap = values["diffusers load_lora_adapter"], values["swap to a registered LoRA"]
    hot, dropped = values["diffusers hotswap"], values["swap to a LoRA just dropped in"]
    return [
        Row(name="against diffusers load", value=load / swap, unit="x", must=50, aim=300, better="higher"),
        Row(name="against diffusers hotswap", value=hot / swap, unit="x", better="higher"),
        Row(name="just dropped in, against load", value=load / dropped, unit="x", better="higher"),
        Row(name="just dropped in, against hotswap", value=hot / dropped, unit="x", better="higher"),
    ]


def _growth_row(unet: UNet2DConditionModel, files: list[Path], swaps: int) -> Row:
    """Read, register and attach one file after the other, alone and in pairs; the first two rounds do not count."""
    layers = Layers({"unet": unet})
    rack = Rack({"unet": unet}, cache_bytes=2**24)
    before, round_ = 0, len(files)
    with drawn_between("memory", 2 * round_ + swaps) as advance:
        for i in range(2 * round_ + swaps):
            if i == 2 * round_:
                before = _resident_bytes()
            file, other = files[i % len(files)], files[(i * 7) % len(files)]
            rack.register(read_lora(file, layers, name=file.stem))
            rack.set_adapters(
                {file.stem: 1.0, **({other.stem: 0.5} if i >= round_ and other != file else {})}
            )
            if i % 10 == 0:
                rack.merge()
            advance()
    growth = 100 * (_resident_bytes() - before) / before
    rack.set_adapters({})
    rack.merge()
    name = f"{swaps:,} swaps over {len(files)} files: growth"
    return Row(name=name, value=max(0.0, growth), unit="%", must=1, aim=0)


@torch.inference_mode()
def _recompile_row(unet: UNet2DConditionModel, files: list[Path], side: int, backend: str) -> Row:
    layers = Layers({"unet": unet})
    rack = Rack({"unet": unet})
    for i, file in enumerate(files):
        rack.register(read_lora(file, layers, name=str(i)))
    rack.set_adapters({"0": 1.0})
    step = one_pass(unet, "tiny", side)
    unet.compile_repeated_blocks(fullgraph=True, backend=backend)
    step()
    before = counters["stats"]["unique_graphs"]
    with drawn_between("recompilations", 100) as advance:
        for i in range(100):
            rack.set_adapters({str(i * 7 % len(files)): 1.0 if i % 2 else 0.6})
            step()
            advance()
    recompiled = counters["stats"]["unique_graphs"] - before
    return Row(name="recompiles over 100 swaps", value=float(recompiled), unit="graphs", must=0, aim=0)


def _digests(unet: UNet2DConditionModel) -> dict[str, str]:
    # Digests, since a copy of what is touched would take 4 GB.
    weights = {path: unet.get_parameter(f"{path}.weight").detach() for path in targets(unet)}
    return {
        path: hashlib.blake2b(weight.cpu().contiguous().view(torch.uint8).numpy()).hexdigest()
        for path, weight in weights.items()
    }


def _timed(action: Callable[[], object]) -> float:
    return measure(action, runs=1, warm_up=0).median_ms


def _resident_bytes() -> int:
    gc.collect()
    time.sleep(0.1)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


if __name__ == "__main__":
    typer.run(main)
