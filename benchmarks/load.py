"""What a studio stands: many requests, many files, many strangers.

    python -m benchmarks.load --json
    python -m benchmarks.load --part kept --part loras

Each part starts studios of its own and may be run alone; all of them take nine minutes on two cores. Times are of one
machine with nothing else to do; processor time is of the studio alone, and other programs lengthen it less.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import httpx2
import typer
from benchmarks.harness import RESULTS, Row, drawn_between, report, run_stages
from benchmarks.live_studio import OpenStudio, open_studio
from benchmarks.load_attack import Attack
from benchmarks.load_typist import frame_times_ms
from tests.tiny_sdxl import write_tiny_sdxl

from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest
from allaprima.paint.bases.vignette.traits import WEIGHTS
from allaprima.paint.lora.files.folder import SHIPPED
from allaprima.studio.server.gallery import Gallery, GalleryEntry, _insert

app = typer.Typer()

MOST_LINKS = 50_000
"""To one file; file systems have a limit."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """How much of everything."""

    asks: int = 500
    """Requests on one kept connection."""
    files: int = 10_000
    """LoRAs in a folder."""
    frames: int = 60
    """Live frames that are timed."""
    heads: int = 400
    """Connections whose heads never end."""
    uploads: int = 60
    """Bodies of 31 MB that never end."""
    pings: int = 100_000
    requests: int = 3_000
    """Pictures of mixed sizes, LoRA sets and bases."""
    pictures: int = 100_000
    """In the gallery."""


def kept(load: Load, folder: Path) -> Iterator[Row]:
    """Ask again and again on one kept connection."""
    with open_studio(None, folder / "kept") as studio:
        _kept_times_ms(studio, 20)  # warm
        before = studio.processor_s
        times = _kept_times_ms(studio, load.asks)
        used = studio.processor_s - before
    yield Row(name="kept connection, p50", value=median(times), unit="ms", must=2.0, aim=1.0)
    yield Row(name="kept connection, processor time", value=1e3 * used / load.asks, unit="ms")


def loras(load: Load, folder: Path) -> Iterator[Row]:
    """List a large folder of LoRAs, and paint with one of them."""
    few, many = folder / "few", folder / "many"
    for place, count in ((few, 0), (many, load.files)):
        place.mkdir()
        shutil.copy(WEIGHTS / SHIPPED / "turbo.safetensors", place / "mine.safetensors")
        _write_loras(place, count)
    frames = {}
    for place in (few, many):
        with open_studio(None, folder / "lists", "--lora-dir", str(place)) as studio:
            if place is many:
                yield from _listing(studio, load.files)
            times = frame_times_ms(studio.url, load.frames, {"loras": [{"name": "mine"}], "steps": 1})
            frames[place] = median(times)
    name = f"frame with a LoRA beside {load.files:,}, against alone"
    yield Row(name=name, value=frames[many] / frames[few], unit="times", must=1.1)


def attack(load: Load, folder: Path) -> Iterator[Row]:
    """Go on typing while strangers hold back heads and bodies, and ping."""
    with open_studio(None, folder / "attacked") as studio:
        frame_times_ms(studio.url, 10, {})  # warm
        begun = studio.processor_s
        quiet = _p95(frame_times_ms(studio.url, load.frames, {}))
        quiet_used = (studio.processor_s - begun) / load.frames
        before, begun = studio.resident_mib, studio.processor_s
        studio.forget_peak()
        strangers = Attack(studio.url, heads=load.heads, uploads=load.uploads, pings=load.pings)
        with strangers:
            frames: list[float] = []
            while len(frames) < load.frames or not strangers.is_done:
                frames += frame_times_ms(studio.url, 10, {})
        added = (studio.peak_mib - before) * 2**20 / 1e6
        used = (studio.processor_s - begun) / len(frames)
    yield Row(
        name=f"{load.heads:,} heads, {load.uploads:,} uploads, {load.pings:,} pings: added",
        value=added,
        unit="MB",
        must=200.0,
    )
    yield Row(name="frames p95 meanwhile, against quiet", value=_p95(frames) / quiet, unit="times", must=1.5)
    name = "processor time of all for each frame, against quiet"
    yield Row(name=name, value=used / quiet_used, unit="times")


def many(load: Load, folder: Path) -> Iterator[Row]:
    """Paint pictures of mixed sizes, LoRA sets and bases, and look at the memory."""
    other = write_tiny_sdxl(folder / "xl")
    lora_dir = folder / "sets"
    lora_dir.mkdir()
    for name in ("one", "two", "three"):
        shutil.copy(WEIGHTS / SHIPPED / "turbo.safetensors", lora_dir / f"{name}.safetensors")
    options = ("--base", "vignette", "--base", str(other), "--lora-dir", str(lora_dir))
    early = max(1, load.requests // 10)
    after: dict[int, float] = {}
    with (
        open_studio(None, folder / "many-kept", *options) as studio,
        httpx2.Client(base_url=studio.url, timeout=120, trust_env=False) as client,
        drawn_between("pictures", load.requests) as advance,
    ):
        names = [model["id"] for model in client.get("/v1/models").json()["data"]]
        for number in range(1, load.requests + 1):
            answer = client.post("/v1/images/generations", json=_mixed(number, names))
            answer.raise_for_status()
            if number in (early, load.requests):
                after[number] = studio.resident_mib
            advance()
    grown = 100 * (after[load.requests] / after[early] - 1)
    name = f"memory after {load.requests:,} requests against {early:,}"
    yield Row(name=name, value=grown, unit="%", must=3.0)


def gallery(load: Load, folder: Path) -> Iterator[Row]:
    """Start on a gallery of very many pictures: when page and gallery are there, and when it paints."""
    full = folder / "full"
    _fill_gallery(full, load.pictures)
    for place, count in ((folder / "empty", 0), (full, load.pictures)):
        with open_studio(None, place) as studio:
            name = f"start on {count:,} pictures"
            yield Row(name=name, value=studio.shown_s, unit="s", must=5.0 if count else None)
            yield Row(name=f"{name}, until it paints", value=studio.ready_s, unit="s")
            yield Row(name=f"{name}, processor time", value=studio.processor_s, unit="s")


PARTS: dict[str, Callable[[Load, Path], Iterator[Row]]] = {
    "kept": kept, "loras": loras, "attack": attack, "many": many, "gallery": gallery,
}  # fmt: skip


@app.command()
def main(
    part: Annotated[
        list[str] | None, typer.Option(help=f"Part to run: {', '.join(PARTS)}. Default: all.")
    ] = None,
    share: Annotated[float, typer.Option(help="Share of the usual amount of everything.")] = 1.0,
    results: Annotated[Path, typer.Option(help="Folder for the dated result.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    """Run the parts and write a dated result; exit with 1 if one of them failed."""
    chosen = part or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        raise typer.BadParameter(f"got {', '.join(unknown)}; expected {', '.join(PARTS)}")
    amounts = {name: max(2, round(value * share)) for name, value in vars(Load()).items()}
    with tempfile.TemporaryDirectory() as folder:
        stages = [lambda name=name: PARTS[name](Load(**amounts), Path(folder)) for name in chosen]
        rows, whole = run_stages(stages)
    report("load", rows, {"parts": chosen, "share": share}, as_json=as_json, folder=results)
    if not whole:
        raise typer.Exit(1)


def _listing(studio: OpenStudio, count: int) -> Iterator[Row]:
    with httpx2.Client(base_url=studio.url, timeout=300, trust_env=False) as client:
        client.get("/healthz")  # connected
        for which, must in (("first", 10.0), ("again", 0.3)):
            before = studio.processor_s
            seconds = _seconds(lambda: client.get("/api/loras").raise_for_status())
            name = f"list of {count:,} LoRAs, {which}"
            yield Row(name=name, value=seconds, unit="s", must=must)
            yield Row(name=f"{name}, processor time", value=studio.processor_s - before, unit="s")


def _kept_times_ms(studio: OpenStudio, asks: int) -> list[float]:
    host, _, port = studio.url.removeprefix("http://").rpartition(":")
    times = []
    with socket.create_connection((host, int(port)), 30) as raw:
        for _ in range(asks):
            begun = time.perf_counter()
            raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += raw.recv(65536)
            times.append(1e3 * (time.perf_counter() - begun))
    return times


def _write_loras(folder: Path, count: int) -> None:
    key = "transformer.transformer_blocks.0.attn.to_q"
    head = {
        f"{key}.lora_A.weight": {"dtype": "F32", "shape": [1, 4], "data_offsets": [0, 16]},
        f"{key}.lora_B.weight": {"dtype": "F32", "shape": [4, 1], "data_offsets": [16, 32]},
        "__metadata__": {"allaprima.family": "vignette"},
    }
    text = json.dumps(head).encode()
    file = struct.pack("<Q", len(text)) + text + bytes(32)
    for number in range(count):
        (folder / f"other-{number}.safetensors").write_bytes(file)


def _mixed(number: int, bases: list[str]) -> dict[str, object]:
    """Return the body of one of many requests that are alike in little."""
    base = bases[number % len(bases)]
    sets = [[], ["one"], ["two"], ["one", "three"], ["three", "two", "one"]]
    chosen = sets[number % len(sets)] if base == "vignette" else []
    side = 64 + 8 * (number % 17)
    size = "256x256" if base == "vignette" else f"{side}x{64 + 8 * (number % 5)}"
    # All numbers of tokens come early: a shape that is first seen late would look like a leak.
    prompt = f"a cat number {number * 7919 % 1000} " + "on a roof " * (number % 9)
    loras = [{"name": name, "weight": 0.1 * (1 + number % 7)} for name in chosen]
    return {
        "prompt": prompt,
        "model": base,
        "size": size,
        "steps": 1,
        "guidance": 1.0,
        "loras": loras,
        "seed": number,
    }


def _fill_gallery(folder: Path, count: int) -> None:
    """Make a gallery whose pictures are links to a few files: what is measured depends on names alone."""
    request = GenerationRequest(prompt="a cat on a rooftop at sunset")
    opened = Gallery.open(folder)
    first = opened.add(Picture(request=request, width=8, height=8, rgb=bytes(192)))
    file = folder / f"{first.id}.png"
    data = file.read_bytes()
    names = (f"{number:012x}-{number:012x}" for number in range(count - 1))
    with opened._transaction() as cursor:
        for number, name in enumerate(names, 1):
            place = folder / f"{name}.png"
            if number % MOST_LINKS:
                place.hardlink_to(file)
            else:
                place.write_bytes(data)
                file = place
            _insert(cursor, GalleryEntry(id=name, request=request))
    opened.close()


def _seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def _p95(times: list[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(0.95 * len(times)))]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no studio and no folder is left
    app()
