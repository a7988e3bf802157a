"""A batch through an engine, or a cluster of them: some jobs ahead, and each picture written when it is finished."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from allaprima.core.errors import BusyError, UserError
from allaprima.core.picture import Picture
from allaprima.core.progress import track
from allaprima.studio.batch.lines import BatchLine
from allaprima.studio.batch.record import BatchRecord
from allaprima.studio.engine.door import EngineDoor
from allaprima.studio.engine.job_queue import Job
from allaprima.studio.engine.messages import Cancelled, Done, Failed, JobUpdate

AHEAD = 2
"""Jobs that wait for each replica, so that none waits for this process to write a file."""
LineOutcome = tuple[BatchLine, Done | Failed | Cancelled]


def paint_batch(
    engine: EngineDoor, lines: Sequence[BatchLine], record: BatchRecord, *, ending: str, replicas: int
) -> None:
    """Paint `lines` into the record's folder, and note in it what becomes of each. Begins the engine.

    Args:
        engine: not begun; it is not closed here.
        lines: those whose pictures are not there.
        record: gets the outcomes.
        ending: of the files, such as ".png".
        replicas: how many paint.

    Raises:
        UserError: the base cannot be loaded.
        OutputError: a file cannot be written.
    """
    if not lines:
        return
    _begin(engine)
    outcomes: queue.SimpleQueue[LineOutcome] = queue.SimpleQueue()
    waiting, jobs = iter(lines), dict[int, Job]()
    with _cancelling(jobs):
        for line in waiting:
            _submit(engine, line, outcomes, jobs)
            if len(jobs) >= AHEAD * max(1, replicas) + replicas:
                break
        for line, end in track(
            _all(outcomes, len(lines)), total=len(lines), label="painting", unit="pictures"
        ):
            jobs.pop(line.number, None)
            if (following := next(waiting, None)) is not None:
                _submit(engine, following, outcomes, jobs)
            _note(record, line, end, ending)


def _begin(engine: EngineDoor) -> None:
    loaded: queue.SimpleQueue[None] = queue.SimpleQueue()
    engine.begin()
    engine.when_loaded(lambda: loaded.put(None))
    loaded.get()
    if engine.load_error is not None:
        raise engine.load_error


@contextmanager
def _cancelling(jobs: dict[int, Job]) -> Iterator[None]:
    """Cancel what is left when the block is left early."""
    try:
        yield
    finally:
        for job in jobs.values():
            job.cancel()


def _submit(
    engine: EngineDoor, line: BatchLine, outcomes: queue.SimpleQueue[LineOutcome], jobs: dict[int, Job]
) -> None:
    try:
        jobs[line.number] = engine.submit([line.request], partial(_hear, line, outcomes))
    except (UserError, BusyError) as error:
        failed = Failed(message=str(error), id="", at_fault=isinstance(error, UserError))
        outcomes.put((line, failed))


def _hear(line: BatchLine, outcomes: queue.SimpleQueue[LineOutcome], update: JobUpdate) -> None:
    if isinstance(update, Done | Failed | Cancelled):
        outcomes.put((line, update))


def _all(outcomes: queue.SimpleQueue[LineOutcome], count: int) -> Iterator[LineOutcome]:
    for _ in range(count):
        yield outcomes.get()


def _note(record: BatchRecord, line: BatchLine, end: Done | Failed | Cancelled, ending: str) -> None:
    if isinstance(end, Done):
        picture: Picture = end.pictures[0]
        record.painted[line.number] = picture.save(record.folder / f"{line.stem}{ending}")
        record.remarks[line.number] = picture.remarks
    elif isinstance(end, Failed):
        record.failed[line.number] = end.message
        record.broken |= not end.at_fault
    else:
        record.failed[line.number] = "the studio closed before it was painted"
        record.broken = True
