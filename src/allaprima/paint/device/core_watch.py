"""Watches whether other programs use this process's cores, and has torch's threads wait accordingly.

    watch_cores()

Linux alone says who uses a core; elsewhere threads wait as their library has them wait.
"""

from __future__ import annotations

import os
import threading
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

from allaprima.paint.device.waiting_threads import WaitingThreads, find_openmp

INTERVAL_S = 0.2
SHARED = 0.3
"""Cores in use by others, on average over an interval, above which the cores are shared."""
OURS = 0.15
"""Below which they may be ours again."""
CALM_INTERVALS = 5
"""How long it must have been so calm."""

_STAT = Path("/proc/stat")
_TICKS_PER_S = 100
"""The unit of /proc/stat on every architecture (man 5 proc)."""
_BUSY = slice(0, 3), slice(5, 7)
"""The columns of a core's line that count its work: user, nice, system; then irq, softirq."""


class CoreWatch:
    """The watch over some cores.

    Args:
        waiting: what is switched.
        cores: the numbers of the cores.
    """

    def __init__(self, waiting: WaitingThreads, cores: frozenset[int]) -> None:
        self._waiting = waiting
        self._cores = cores
        self._calm = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="core watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more, and let threads wait as their library has them wait."""
        self._end.set()
        self._thread.join()
        self._waiting.spin()

    def note(self, others: float) -> None:
        """Follow what an interval has shown: how many cores others used in it.

        The switch to sleep comes at once, for a frame takes seconds where threads spin beside others; the switch back
        waits until it has been calm for a second.
        """
        self._calm = self._calm + 1 if others < OURS else 0
        if others > SHARED:
            self._waiting.sleep()
        elif self._calm >= CALM_INTERVALS:
            self._waiting.spin()

    def _watch(self) -> None:
        before = _Reading.take(self._cores)
        while not self._end.wait(INTERVAL_S):
            now = _Reading.take(self._cores)
            self.note(now.others_since(before))
            before = now


class _Reading(NamedTuple):
    """What others have used of some cores up to a moment."""

    others_s: float
    at: float

    @classmethod
    def take(cls, cores: frozenset[int]) -> _Reading:
        return cls(busy_seconds(cores) - time.process_time(), time.monotonic())

    def others_since(self, before: _Reading) -> float:
        """Return how many cores others used since `before`, on average."""
        return (self.others_s - before.others_s) / (self.at - before.at)


def busy_seconds(cores: frozenset[int], stat: Path = _STAT) -> float:
    """Return for how many seconds the cores of these numbers have worked since the machine was started.

    Raises:
        OSError: the system does not say.
    """
    ticks = 0
    for line in stat.read_text(encoding="ascii").splitlines():
        name, *columns = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            ticks += sum(int(column) for part in _BUSY for column in columns[part])
    return ticks / _TICKS_PER_S


def own_cores() -> frozenset[int]:
    """Return the cores that this process may use; none where the system does not say who uses them."""
    if not hasattr(os, "sched_getaffinity"):
        return frozenset()
    cores = frozenset(os.sched_getaffinity(0))
    try:
        busy_seconds(cores)
    except (OSError, ValueError):  # some containers hide it
        return frozenset()
    return cores


def measure_others(seconds: float = INTERVAL_S) -> float | None:
    """Return how many of this process's cores others use, on average over so long; None where nobody says."""
    cores = own_cores()
    if not cores:
        return None
    before = _Reading.take(cores)
    time.sleep(seconds)
    return _Reading.take(cores).others_since(before)


_lock = threading.Lock()


def watch_cores() -> CoreWatch | None:
    """Have this process watch its cores from now on, once; return the watch, None where there is none to be had.

    To be called when torch is loaded.
    """
    with _lock:
        return _only_watch()


@cache
def _only_watch() -> CoreWatch | None:
    library, cores = find_openmp(), own_cores()
    if library is None or not cores:
        return None
    watch = CoreWatch(WaitingThreads(library, len(cores)), cores)
    watch.start()
    return watch
