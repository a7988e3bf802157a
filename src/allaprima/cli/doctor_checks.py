"""What `prima doctor` looks at, one check after another."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import torch

import allaprima
from allaprima.core.errors import WeightsError
from allaprima.paint.bases.vignette.traits import WEIGHTS
from allaprima.paint.bases.vignette.weights import load_autoencoder, load_denoiser
from allaprima.paint.device.core_watch import SHARED, measure_others
from allaprima.paint.device.precision import pick_dtype
from allaprima.paint.device.waiting_threads import CHOSEN_BY_USER
from allaprima.paint.memory.shortage import available_bytes

Health = Literal["fine", "slow", "wrong"]

GIB = 2**30
ENOUGH_GIB = 1.5
"""What Vignette and the studio take together, with room to spare."""
ENOUGH_DISK_GIB = 1.0
_NEEDED = ("torch", "diffusers", "transformers", "safetensors", "numpy", "pillow")
_EXTRAS = {
    "studio": "fastapi", "lab": "peft", "finders": "onnxruntime", "upscalers": "spandrel", "cluster": "ray",
}  # fmt: skip
"""What each extra of the package brings."""
_FLAGS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX512-BF16",
    "amx_bf16": "AMX",
    "asimd": "NEON",
}
_CPUINFO = Path("/proc/cpuinfo")
_NVIDIA = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    value: str
    health: Health = "fine"
    advice: str = ""
    """Why it is slow or wrong, and what to do."""


def examine(*, gallery: Path, lora_dir: Path, port: int) -> list[Finding]:
    """Look at everything; folders need not exist."""
    return [
        _program(),
        _packages(),
        _extras(),
        *_processor(),
        _load(),
        _memory(),
        _gpu(),
        _weights(),
        _folder("gallery", gallery, needs_room=True),
        _folder("LoRAs", lora_dir, needs_room=False),
        _port(port),
    ]


def _program() -> Finding:
    return Finding(
        name="program",
        value=f"prima {allaprima.__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}",
    )


def _packages() -> Finding:
    found = {name: _version(name) for name in _NEEDED}
    missing = [name for name, present in found.items() if present is None]
    value = ", ".join(f"{name} {present}" for name, present in found.items() if present is not None)
    if missing:
        advice = (
            f"{', '.join(missing)} missing; install the package anew: pip install --force-reinstall allaprima"
        )
        return Finding(name="packages", value=value, health="wrong", advice=advice)
    return Finding(name="packages", value=value)


def _extras() -> Finding:
    present = [extra for extra, brings in _EXTRAS.items() if _version(brings) is not None]
    absent = [extra for extra in _EXTRAS if extra not in present]
    rest = f'; pip install "allaprima[{",".join(absent)}]" would add {", ".join(absent)}' if absent else ""
    return Finding(name="extras", value=f"{', '.join(present) or 'none'}{rest}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> Iterator[Finding]:
    fields = _cpu_fields()
    flags = [
        shown
        for flag, shown in _FLAGS.items()
        if flag in fields.get("flags", fields.get("Features", "")).split()
    ]
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    name = fields.get("model name") or platform.processor() or "unknown"
    of_all = "" if mine == os.cpu_count() else f" of {os.cpu_count()}"
    units = ", ".join(flags) or "no vector units known"
    value = f"{name}, {mine}{of_all} {'core' if mine == 1 else 'cores'}, {units}"
    old = bool(flags) and not {"AVX2", "NEON"} & set(flags)
    yield Finding(
        name="processor", value=value, health="slow" if old else "fine",
        advice="it has no AVX2, without which a picture takes several times as long" if old else "",
    )  # fmt: skip
    narrow = pick_dtype("cpu") == torch.bfloat16
    yield Finding(name="numbers", value="bf16, which it multiplies in hardware" if narrow else "fp32")
    threads = torch.get_num_threads()
    few = threads < mine
    yield Finding(
        name="threads", value=str(threads), health="slow" if few else "fine",
        advice=f"torch uses {threads} of {mine} cores; unset OMP_NUM_THREADS and MKL_NUM_THREADS" if few else "",
    )  # fmt: skip


def _cpu_fields() -> dict[str, str]:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _load() -> Finding:
    chosen = [variable for variable in CHOSEN_BY_USER if variable in os.environ]
    others = measure_others()
    if others is None:
        return Finding(name="load", value="this system does not say what others use")
    value = f"others use {max(0.0, others):.1f} cores"
    if chosen:
        advice = f"{' and '.join(chosen)} set: threads wait as that says, whoever uses the cores; unset it"
        return Finding(name="load", value=value, health="slow", advice=advice)
    if others > SHARED:
        advice = (
            "pictures take longer while another program works; threads sleep in place of spinning meanwhile"
        )
        return Finding(name="load", value=value, health="slow", advice=advice)
    return Finding(name="load", value=value)


def _memory() -> Finding:
    free = available_bytes(torch.device("cpu"))
    if free is None:
        return Finding(name="memory", value="this system does not say")
    value = f"{free / GIB:.1f} GiB free"
    if free < ENOUGH_GIB * GIB:
        advice = (
            f"Vignette and the studio want {ENOUGH_GIB:g} GiB; end other programs, or paint with --memory"
        )
        return Finding(name="memory", value=value, health="slow", advice=advice)
    return Finding(name="memory", value=value)


def _gpu() -> Finding:
    if torch.cuda.is_available():
        each = (torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count()))
        return Finding(
            name="GPU", value=", ".join(f"{one.name}, {one.total_memory / GIB:.0f} GiB" for one in each)
        )
    if torch.backends.mps.is_available():
        return Finding(name="GPU", value="Apple's, which is not painted on yet")
    if not _NVIDIA.exists():
        return Finding(name="GPU", value="none")
    build = "CPUs alone" if torch.version.cuda is None else f"CUDA {torch.version.cuda}"
    advice = f"NVIDIA's driver is there, but torch is built for {build} and sees no GPU; install torch for it"
    return Finding(name="GPU", value="none that torch sees", health="slow", advice=advice)


def _weights() -> Finding:
    meta = torch.device("meta")
    try:
        load_denoiser(WEIGHTS / "denoiser.safetensors", meta, torch.float32)
        load_autoencoder(WEIGHTS / "autoencoder.safetensors", meta, torch.float32)
    except WeightsError as error:
        advice = f"{str(error).replace(str(WEIGHTS), 'the package')}"
        return Finding(name="weights", value="damaged", health="wrong", advice=advice)
    size = sum(file.stat().st_size for file in WEIGHTS.rglob("*.safetensors"))
    return Finding(name="weights", value=f"Vignette's are whole, {size / 2**20:.0f} MiB")


def _folder(name: str, folder: Path, *, needs_room: bool) -> Finding:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if folder.exists() and not folder.is_dir():
        return Finding(name=name, value="a file", health="wrong", advice="expected a folder; name another")
    state = "there" if folder.exists() else "made when it is needed"
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding(
            name=name, value=state, health="wrong", advice=f"cannot look at its disk: {error.strerror}"
        )
    value = f"{state}, {free / GIB:.0f} GiB free" if needs_room else state
    if not os.access(there, os.W_OK) and needs_room:
        advice = "it may not be written to: the studio shows what it holds and keeps nothing new"
        return Finding(name=name, value=value, health="wrong", advice=advice)
    if needs_room and free < ENOUGH_DISK_GIB * GIB:
        return Finding(
            name=name, value=value, health="wrong", advice="the disk is nearly full; make room on it"
        )
    return Finding(name=name, value=value)


def _port(port: int) -> Finding:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as tried:
        if sys.platform != "win32":  # there it would let two programs share it
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            value = "taken" if taken else f"not to be had: {error.strerror}"
            advice = "another program, or another studio, listens there; prima serve --port 0 takes any that is free"
            return Finding(name=f"port {port}", value=value, health="wrong", advice=advice)
    return Finding(name=f"port {port}", value="free")
