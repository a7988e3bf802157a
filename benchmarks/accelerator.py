"""All that wants an accelerator, in one short run: memory under a cap, Qwen-Image, SDXL and LoRAs at full size.

    python -m benchmarks.accelerator --seconds 120 --json          # dated results in benchmarks/results
    python -m benchmarks.accelerator --only qwen --only sdxl
    python -m benchmarks.accelerator --tiny                        # on any machine, to see that it works

The parts run one after the other, the most wanted first, each in a process of its own that has read its libraries
before its turn comes. A part whose time is over is interrupted and keeps what it has measured; one that fails is told
of, and the others go on.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TextIO

import torch
import typer
from benchmarks.harness import RESULTS

ROOT = Path(__file__).parents[1]
READY = "the libraries are read"
LIBRARIES = ("tests.tiny_qwen", "tests.tiny_sdxl", "peft")
GRACE_S = 6.0
"""What an interrupted part gets for writing down what it has."""
LEAST_S = 10.0
"""Less is not worth beginning with."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One benchmark and how it is called."""

    name: str
    module: str
    given: tuple[str, ...]
    tiny: tuple[str, ...]
    """How it is called to see that it works."""
    limit_s: float


PARTS = (
    Part(
        name="memory",
        module="benchmarks.memory_cap",
        given=("--memory", "24", "--memory", "72"),
        tiny=("--size", "tiny", "--side", "640", "--memory", "8"),
        limit_s=75.0,
    ),
    Part(
        name="qwen",
        module="benchmarks.versus_diffusers",
        given=("--full-size", "qwen", "--side", "1024", "--runs", "5", "--seconds", "25"),
        tiny=("--runs", "1"),
        limit_s=60.0,
    ),
    Part(
        name="sdxl",
        module="benchmarks.versus_diffusers",
        given=("--full-size", "sdxl", "--side", "1024", "--side", "512", "--runs", "7", "--seconds", "15"),
        tiny=("--runs", "1"),
        limit_s=40.0,
    ),
    Part(
        name="loras",
        module="benchmarks.lora_swap",
        given=(
            *("--size", "sdxl", "--side", "1024", "--runs", "5", "--passes", "5"),
            *("--swaps", "200", "--num-files", "50", "--backend", "eager"),
        ),
        tiny=(
            *("--side", "64", "--runs", "1", "--passes", "1"),
            *("--swaps", "4", "--num-files", "3", "--backend", "eager"),
        ),
        limit_s=60.0,
    ),
)


def main(
    only: Annotated[
        list[str] | None, typer.Option(help="A part by name; may be given again. Default: all.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="For all parts together, from when they are ready.")] = 120.0,
    tiny: Annotated[bool, typer.Option("--tiny", help="Tiny models, on any machine.")] = False,
    results: Annotated[Path, typer.Option(help="Folder for the dated results and the log.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    names = [part.name for part in PARTS]
    if unknown := set(only or ()) - set(names):
        raise typer.BadParameter(f"got the part {min(unknown)!r}; expected {', '.join(names)}")
    if not tiny and not torch.cuda.is_available():
        print(
            "there is no accelerator here; expected one that torch knows: paint tiny models with --tiny instead",
            file=sys.stderr,
        )
        raise typer.Exit(2)
    results.mkdir(parents=True, exist_ok=True)
    with (results / "accelerator.log").open("w", encoding="utf-8") as log:
        wanted = [part for part in PARTS if not only or part.name in only]
        running = [_Running(part, results, log, tiny=tiny) for part in wanted]
        for one in running:
            one.wait_until_ready()
        until = time.monotonic() + seconds
        for one in running:
            one.take_turn(until - time.monotonic())
    _tell(running, as_json=as_json)
    if any(one.outcome != "done" for one in running):
        raise typer.Exit(1)


@dataclass
class _Running:
    """A part in its process."""

    part: Part
    results: Path
    log: TextIO
    tiny: bool = field(kw_only=True)
    outcome: str = "not begun"
    took_s: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start the process, which waits for its turn."""
        own = [str(ROOT / "src"), str(ROOT)]
        path = os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
        given = (
            *(self.part.tiny if self.tiny else self.part.given),
            "--results",
            str(self.results.resolve()),
        )
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.accelerator", "--turn", self.part.module, *given],
            cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, errors="replace",
        )  # fmt: skip
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        """Wait until it has read its libraries, or has ended."""
        self._ready.wait(timeout=90.0)

    def take_turn(self, left_s: float) -> None:
        """Let it run for its own time, or for what is left of all."""
        if left_s < LEAST_S:
            self.outcome = "no time was left"
            self._end()
            return
        before, started = set(self.results.glob("*.json")), time.monotonic()
        try:
            assert self._process.stdin is not None
            print("go", file=self._process.stdin, flush=True)
            code = self._process.wait(timeout=min(self.part.limit_s, left_s))
            self.outcome = "done" if code == 0 else f"ended with code {code}"
        except subprocess.TimeoutExpired:
            self.outcome = "its time was over"
            self._process.send_signal(signal.SIGINT)
        except BrokenPipeError:
            self.outcome = "it ended before its turn"
        self._end(GRACE_S)
        self.took_s = time.monotonic() - started
        for file in sorted(set(self.results.glob("*.json")) - before):
            self.files.append(file.name)
            self.rows += json.loads(file.read_text(encoding="utf-8"))["rows"]

    def _end(self, grace_s: float = 0.0) -> None:
        try:
            self._process.wait(timeout=grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=2.0)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == READY:
                self._ready.set()
                continue
            told = f"[{self.part.name}] {line}"
            self.log.write(told)
            self.log.flush()
            print(told, end="", flush=True)
        self._ready.set()


def _tell(running: Sequence[_Running], *, as_json: bool) -> None:
    for one in running:
        print(f"\n{one.part.name}: {one.outcome}, {one.took_s:.0f} s, {', '.join(one.files) or 'no result'}")
        for row in one.rows:
            print(f"  {row['name']:<66}{row['value']:>12,.3f} {row['unit']:<8}{_verdict(row)}")
    if as_json:
        parts = [
            {
                "name": one.part.name,
                "outcome": one.outcome,
                "seconds": round(one.took_s, 1),
                "results": one.files,
            }
            for one in running
        ]
        print(json.dumps({"parts": parts, "rows": [row for one in running for row in one.rows]}))


def _verdict(row: dict[str, Any]) -> str:
    words = []
    for bound in ("must", "aim"):
        if row[bound] is not None:
            meets = row["value"] <= row[bound] if row["better"] == "lower" else row["value"] >= row[bound]
            words.append(f"{bound} {row[bound]:.3g}: {'yes' if meets else 'no'}")
    return "  ".join(words)


def _wait_for_turn(module: str, given: Sequence[str]) -> None:
    """Be a part: read the libraries, wait for a line, and run."""
    main_of_it = importlib.import_module(module).main
    for library in LIBRARIES:
        importlib.import_module(library)
    print(READY, flush=True)
    if not sys.stdin.readline():
        return
    sys.argv = [module, *given]
    typer.run(main_of_it)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--turn"]:
        _wait_for_turn(sys.argv[2], sys.argv[3:])
    else:
        typer.run(main)
