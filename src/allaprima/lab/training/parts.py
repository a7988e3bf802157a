"""Work on a range of scenes, shared among processes part by part."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from typing import TypeVar

from allaprima.core.progress import progress_bar

T = TypeVar("T")

PART = 256
"""Scenes in a part: some seconds of rendering."""


def in_parts(work: Callable[[range], T], scenes: range, processes: int, label: str) -> Iterator[T]:
    """Yield what `work` makes of each part of `scenes`, in their order, while a bar on stderr counts.

    One process does it here; for several, `work` must be picklable.
    """
    parts = [scenes[start : start + PART] for start in range(0, len(scenes), PART)]
    with progress_bar("scenes") as bar:
        task = bar.add_task(label, total=len(scenes))
        if processes == 1:
            for part in parts:
                yield work(part)
                bar.advance(task, len(part))
            return
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            for part, done in zip(parts, pool.imap(work, parts), strict=True):
                yield done
                bar.advance(task, len(part))
