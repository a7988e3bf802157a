"""How torch's threads wait for each other on a processor: spinning, or asleep; switched while they run.

The threads of a product meet at its end. Those that come first spin for some milliseconds before they sleep, which is
right while the cores are theirs: a thread that sleeps is woken late. Beside another program it is ruin: they spin on
the very core that the last of them waits for, and a product takes eighty times as long.

GNU's OpenMP library reads its policy once (`OMP_WAIT_POLICY`), but spins for a hundred turns in place of 300,000
("throttled") as long as the process has more of its threads than there are cores. So a crowd of idle threads is the
switch: while it stands about, nobody spins.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path

CHOSEN_BY_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Variables by which a user chooses a policy; it stays then."""

_MAPS = Path("/proc/self/maps")


class WaitingThreads:
    """The switch of one process.

    Args:
        library: GNU's OpenMP library, as `find_openmp` gives it.
        cores: how many cores it counts on.
    """

    def __init__(self, library: ctypes.CDLL, cores: int) -> None:
        self._library = library
        self._cores = cores
        self._leave = threading.Event()
        self._crowd: threading.Thread | None = None

    @property
    def asleep(self) -> bool:
        """Whether threads that wait sleep at once."""
        return self._crowd is not None

    def sleep(self) -> None:
        """Let threads sleep as soon as they wait."""
        if self._crowd is not None:
            return
        self._leave.clear()
        come = threading.Event()
        self._crowd = threading.Thread(target=self._stand_about, args=(come,), name="crowd", daemon=True)
        self._crowd.start()
        come.wait()

    def spin(self) -> None:
        """Let threads spin before they sleep, as the library does by itself."""
        if self._crowd is not None:
            self._leave.set()
            self._crowd.join()
            self._crowd = None

    def _stand_about(self, come: threading.Event) -> None:
        # A parallel region makes threads that stay with the one that asked for them, until it ends. Any function of
        # C's library will do as its body; this one does nothing and heeds no argument.
        nothing = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
        self._library.GOMP_parallel(nothing, None, ctypes.c_uint(self._cores + 1), ctypes.c_uint(0))
        come.set()
        self._leave.wait()


def find_openmp(maps: Path = _MAPS, environment: Mapping[str, str] = os.environ) -> ctypes.CDLL | None:
    """Return GNU's OpenMP library as torch has loaded it; None elsewhere, and where the user has chosen a policy."""
    if any(variable in environment for variable in CHOSEN_BY_USER):
        return None
    try:
        lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    paths = {line.split(maxsplit=5)[-1] for line in lines if re.search(r"/libgomp[^/]*\.so", line)}
    # Other packages may bring one of their own; torch's lies in its own folder.
    for path in sorted(paths, key=lambda path: ("/torch" not in path, path)):
        library = ctypes.CDLL(path)
        if hasattr(library, "GOMP_parallel"):
            return library
    return None
