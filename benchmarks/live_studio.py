"""A studio in a process of its own, for the benchmarks of live painting."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

PROMPT = "a cat on a rooftop at sunset"
_START = "from allaprima.cli.app import main; main()"


@dataclass(frozen=True, kw_only=True)
class OpenStudio:
    """A studio that runs."""

    url: str
    process: subprocess.Popen[str]
    habits: dict[str, Any]
    """What its page begins with: steps, guidance and LoRAs, so turbo where there is one."""
    shown_s: float
    """Seconds from the start of the process until page and gallery were answered."""
    ready_s: float
    """Seconds from there until it painted."""
    seen: list[int] = field(default_factory=list)
    """How many frames each live session saw."""

    @property
    def resident_mib(self) -> float:
        """What its process has in memory now."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * resource.getpagesize() / 2**20

    @property
    def peak_mib(self) -> float:
        """The most that its process had in memory since `forget_peak`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 2**10

    @property
    def processor_s(self) -> float:
        """What its process has used of the processors: other programs do not lengthen it, as they do a wait."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self) -> None:
        """Begin `peak_mib` anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")


@contextmanager
def open_studio(
    weights: Path | None,
    gallery: Path,
    *options: str,
    variables: Mapping[str, str] | None = None,
    cores: Collection[int] = (),
) -> Iterator[OpenStudio]:
    """Run `prima serve` with further `options` for the with-block.

    Args:
        variables: of its environment, beside this process's own.
        cores: the numbers of those that it may use; all where none is named.
    """
    chosen = [] if weights is None else ["--weights", str(weights.resolve())]
    pin = f"import os; os.sched_setaffinity(0, {sorted(cores)}); " if cores else ""
    command = [
        sys.executable,
        "-c",
        pin + _START,
        "serve",
        "--port",
        "0",
        "--gallery",
        str(gallery),
        *chosen,
        *options,
    ]
    environment = {key: value for key, value in os.environ.items() if key != "ALLAPRIMA_TOKEN"}
    environment |= variables or {}
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    assert process.stdout is not None
    try:
        # Not the line of JSON, which comes when the base is loaded.
        said, _, address = process.stdout.readline().strip().rpartition(" ")
        if not said:
            raise RuntimeError("the studio did not start; expected `prima serve` to print its address")
        url = address.partition("/login")[0]
        for path in ("/", "/api/gallery"):
            httpx2.get(f"{url}{path}", trust_env=False, timeout=60).raise_for_status()
        shown_s = time.perf_counter() - begun
        habits = _read_habits(url)
        ready_s = time.perf_counter() - begun
        yield OpenStudio(url=url, process=process, habits=habits, shown_s=shown_s, ready_s=ready_s)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _read_habits(url: str) -> dict[str, Any]:
    answer = httpx2.get(f"{url}/api/config", trust_env=False, timeout=300)  # once the base is loaded
    habits: dict[str, Any] = answer.json()["bases"][0]["live"]
    return habits
