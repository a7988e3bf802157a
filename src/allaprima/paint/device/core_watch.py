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
        before, own_before, at = busy_seconds(self._cores), time.process_time(), time.monotonic()
        while not self._end.wait(INTERVAL_S):
            after, own, now = busy_seconds(self._cores), time.process_time(), time.monotonic()
            self.note((after - before - (own - own_before)) / (now - at))
            before, own_before, at = after, own, now


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


def measure_others(seconds: float = INTERVAL_S) -> float | None:
    """Return how many of this process's cores others use, on average over so long; None where nobody says."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = frozenset(os.sched_getaffinity(0))
    try:
        before, own, at = busy_seconds(cores), time.process_time(), time.monotonic()
        time.sleep(seconds)
        worked = busy_seconds(cores) - before - (time.process_time() - own)
    except (OSError, ValueError):  # some containers hide it
        return None
    return worked / (time.monotonic() - at)


_lock = threading.Lock()


def watch_cores() -> CoreWatch | None:
    """Have this process watch its cores from now on, once; return the watch, None where there is none to be had.

    To be called when torch is loaded.
    """
    with _lock:
        return _only_watch()


@cache
def _only_watch() -> CoreWatch | None:
    library = find_openmp()
    if library is None or not hasattr(os, "sched_getaffinity"):
        return None
    cores = frozenset(os.sched_getaffinity(0))
    try:
        busy_seconds(cores)
    except (OSError, ValueError):  # some containers hide it
        return None
    watch = CoreWatch(WaitingThreads(library, len(cores)), cores)
    watch.start()
    return watch
