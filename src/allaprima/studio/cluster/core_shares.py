"""How the cores of a machine are divided among replicas, and how a process keeps to its share."""

from __future__ import annotations

import os
from itertools import pairwise


def share_cores(count: int) -> list[frozenset[int]]:
    """Return the cores of each of `count` replicas: neighbours, evenly, none twice unless they are too few.

    Where the system pins no processes each share is empty, which means all cores.
    """
    if not hasattr(os, "sched_getaffinity"):
        return [frozenset()] * count
    cores = sorted(os.sched_getaffinity(0))
    if count > len(cores):
        return [frozenset({cores[number % len(cores)]}) for number in range(count)]
    ends = [number * len(cores) // count for number in range(count + 1)]
    return [frozenset(cores[low:high]) for low, high in pairwise(ends)]


def keep_to(cores: frozenset[int]) -> None:
    """Have this thread, those it starts, and torch's use `cores` alone; all of them if there are none."""
    if not cores:
        return
    import torch  # here, for whoever shares out cores computes nothing

    os.sched_setaffinity(0, cores)
    torch.set_num_threads(min(len(cores), torch.get_num_threads()))
