"""What loading quantised files takes, and whether forecasts for them hold; each case in a process of its own.

    python -m benchmarks.files_memory '{"do": "load", "stored": "fp8", "folder": "/tmp/x"}'

Counted is the resident set (VmHWM and VmRSS of /proc): memory of the process's own and the pages of mapped files that
were read. Everything is counted from after the imports, once every weight has been looked at.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from benchmarks.harness import Row
from benchmarks.hollow_files import write_hollow_files
from safetensors.torch import save_file

from allaprima.core.errors import OutOfMemoryError
from allaprima.core.events import Started, Step
from allaprima.paint.bases.files.header_reader import read_header
from allaprima.paint.bases.files.parts import NamedParts
from allaprima.paint.bases.files.stored_weights import read_weights
from allaprima.paint.device.precision import pick_dtype
from allaprima.paint.memory.forecast import forecast
from allaprima.paint.memory.loading import load_planned
from allaprima.paint.memory.plan import GIB, MemoryForecast, choose_plan, plans_for
from allaprima.paint.memory.process_memory import peak_bytes, resident_bytes
from allaprima.paint.painter import Painter
from allaprima.paint.quantization.loading import load_weights

CPU = torch.device("cpu")
LAYERS = {"bf16": 2, "fp8": 3, "fp8 scaled": 3, "Q4_K": 6}
"""Blocks of Qwen-Image's transformer that make a file of about a gigabyte, by what it is stored in."""
SIDE = 256
"""Pixels of the pictures whose forecast is held against what they take."""


def loading_rows(folder: Path) -> Iterator[Row]:
    """Yield the peak of loading a file of a gigabyte over its size."""
    for stored in LAYERS:
        taken = child({"do": "load", "stored": stored, "folder": str(folder)})
        value = taken["peak"] / taken["file"]
        yield Row(name=f"loading {stored}: peak over file size", value=value, unit="x", must=1.15, aim=1.05)


def forecast_rows(folder: Path) -> Iterator[Row]:
    """Yield how far forecasts are off for a small base in quantised files."""
    for stored, text in (("fp8", "fp8"), ("Q8_0", "Q8_0"), ("Q4_K_M", "fp8")):
        files = write_hollow_files(folder / stored, "medium", transformer=stored, text_encoder=text)
        case = {part: str(path) for part, path in files.items()}
        for plan in child({**case, "do": "foretell"}).items():
            taken = child({**case, "do": "paint", "plan": plan[0]})
            off = 100 * abs(plan[1] / taken["peak"] - 1)
            yield Row(
                name=f"{stored} and {text}, {plan[0]}: forecast is off by",
                value=off,
                unit="%",
                must=10,
                aim=5,
            )


def plan_rows(folder: Path) -> Iterator[Row]:
    """Yield what Qwen-Image-2512 takes on a GPU at 1024 pixels, and in how many of 24, 16 and 12 GiB it fits."""
    for stored, text in (("fp8", "fp8"), ("Q8_0", "fp8"), ("Q4_K_M", "fp8"), ("Q4_K_M", "Q4_K")):
        files = write_hollow_files(folder / f"{stored}-{text}", "full", transformer=stored, text_encoder=text)
        told = _foretell({part: str(path) for part, path in files.items()}, torch.device("cuda"), 1024)
        label = f"2512 {stored} with {text} text"
        for one in told[:3]:
            yield Row(name=f"{label}, {one.plan}", value=one.needed_bytes / GIB, unit="GiB")
        fitting = sum(_fits(told, limit) for limit in (24, 16, 12))
        yield Row(
            name=f"{label}: of 24, 16, 12 GiB, with room", value=fitting, unit="", must=3, better="higher"
        )


def _fits(told: list[MemoryForecast], limit_gib: int) -> bool:
    try:
        choose_plan(told, limit_gib * GIB, "cuda")
    except OutOfMemoryError:
        return False
    return True


def child(case: dict[str, Any]) -> Any:
    """Run one case in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.files_memory", json.dumps(case)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"case {case} failed:\n{ran.stderr[-2000:]}")
    return json.loads(ran.stdout.splitlines()[-1])


def _run_case(case: dict[str, Any]) -> Any:
    if case["do"] == "load":
        return _load(case["stored"], Path(case["folder"]))
    if case["do"] == "foretell":
        return {str(one.plan): one.peak_bytes for one in _foretell(case, CPU, SIDE)}
    return _paint(case)


def _foretell(files: dict[str, str], device: torch.device, side: int) -> list[MemoryForecast]:
    dtype = torch.bfloat16 if device.type == "cuda" else pick_dtype(device)
    return forecast(
        files["transformer"], width=side, height=side, device=device, dtype=dtype, named=_named(files)
    )


def _named(files: dict[str, str]) -> NamedParts:
    return NamedParts(text_encoder=files["text_encoder"], vae=files["vae"])


def _paint(files: dict[str, str]) -> dict[str, int]:
    """A picture of one step with guidance, under the plan that `files` names."""
    plan = next(plan for plan in plans_for("cpu") if str(plan) == files["plan"])
    base = load_planned(
        files["transformer"],
        device=CPU,
        dtype=pick_dtype(CPU),
        plan=plan,
        size=(SIDE, SIDE),
        named=_named(files),
    )
    painter = Painter(
        base=base, guarded=False
    )  # weights without numbers paint nothing that it would let pass
    request = painter.request(
        prompt="a cat on a rooftop at sunset", negative_prompt="blurry", width=SIDE, height=SIDE, steps=1,
        guidance=4.0, seed=1,
    )  # fmt: skip
    peaks = {"load": peak_bytes()}
    for event in painter.events(request):
        moment = "text" if isinstance(event, Started) else "predict" if isinstance(event, Step) else "decode"
        peaks[moment] = peak_bytes()
    return {"peak": peak_bytes(), **peaks}


def _load(stored: str, folder: Path) -> dict[str, int]:
    """Load a transformer of some blocks from a file of real numbers, and look at every weight once."""
    from diffusers import QwenImageTransformer2DModel

    with torch.device("meta"):
        network = QwenImageTransformer2DModel(num_layers=LAYERS[stored])
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    path = folder / f"loaded {stored}"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.files_memory", json.dumps({"stored": stored, "path": str(path)})],
        input=json.dumps(shapes), text=True, check=True,
    )  # fmt: skip
    before = resident_bytes()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins anew (man 5 proc)
    load_weights(network, read_weights(read_header(path)), dtype=torch.bfloat16, device="cpu")
    loaded = peak_bytes() - before
    for weight in network.parameters():
        weight.amax()
    taken = {"loaded": loaded, "peak": peak_bytes() - before, "file": path.stat().st_size}
    path.unlink()
    return taken


def write_transformer(path: Path, stored: str, shapes: dict[str, list[int]]) -> None:
    """Write a transformer of random numbers, stored so."""
    random = np.random.default_rng(0)
    if stored.startswith("Q"):
        _write_gguf(path, stored, shapes, random)
        return
    tensors: dict[str, torch.Tensor] = {}
    for name, shape in shapes.items():
        if stored == "bf16" or len(shape) != 2:
            tensors[name] = torch.from_numpy(random.random(shape, dtype=np.float32)).bfloat16()
            continue
        numbers = torch.from_numpy(random.integers(0, 0x70, shape, dtype=np.uint8))
        tensors[name] = numbers.view(torch.float8_e4m3fn)
        if stored == "fp8 scaled":
            tensors[f"{name.removesuffix('.weight')}.scale_weight"] = torch.tensor(0.01)
    save_file(tensors, path)


def _write_gguf(path: Path, stored: str, shapes: dict[str, list[int]], random: np.random.Generator) -> None:
    kind = gguf.GGMLQuantizationType[stored]
    numbers, num_bytes = gguf.GGML_QUANT_SIZES[kind]
    writer = gguf.GGUFWriter(str(path), "qwen_image")
    for name, shape in shapes.items():
        if len(shape) != 2 or shape[1] % numbers:
            writer.add_tensor(name, random.random(shape, dtype=np.float32))
        else:
            rows = (shape[0], shape[1] // numbers * num_bytes)
            writer.add_tensor(name, random.integers(0, 256, rows, dtype=np.uint8), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _main() -> None:
    case = json.loads(sys.argv[1])
    if "path" in case:
        write_transformer(Path(case["path"]), case["stored"], json.load(sys.stdin))
    else:
        print(json.dumps(_run_case(case)))


if __name__ == "__main__":
    _main()
