"""Whole pictures, a step at a time, so that live painting can go on between any two steps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Condition

from allaprima.core.events import Event, Finished, Started
from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest
from allaprima.core.retouched import RetouchedPicture
from allaprima.studio.engine.attempt import Failure, attempt
from allaprima.studio.engine.job_queue import Job, JobQueue
from allaprima.studio.engine.messages import (
    Cancelled,
    Done,
    Failed,
    JobUpdate,
    Painted,
    Progress,
    Queued,
    Retouched,
)
from allaprima.studio.engine.stats import Stats

_LOG = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Running:
    job: Job
    events: Iterator[Event | RetouchedPicture]
    began_at: float
    left: tuple[GenerationRequest, ...]
    """Requests of pictures that are neither finished nor skipped."""
    pictures: list[Picture] = field(default_factory=list)
    remarks: tuple[str, ...] = ()
    """About the picture under way."""


@dataclass(kw_only=True)
class JobScheduler:
    """The jobs of one engine; belongs to the engine's thread, except that `queue` is shared under `door`."""

    begin: Callable[[Job, tuple[GenerationRequest, ...]], Iterator[Event | RetouchedPicture]]
    """Starts to paint so many of a job's requests, or to retouch; closing the iterator stops it."""
    queue: JobQueue
    door: Condition
    stats: Stats
    clock: Callable[[], float]
    _running: _Running | None = None

    @property
    def is_running(self) -> bool:
        """Whether a job was begun and has not ended."""
        return self._running is not None

    @property
    def has_work(self) -> bool:
        """Whether a job was begun or waits."""
        return self._running is not None or len(self.queue) > 0

    def settle(self) -> None:
        """Let cancelled jobs go and tell the others their positions."""
        with self.door:
            gone, waiting = self.queue.remove_cancelled(), list(self.queue)
        for job in gone:
            self._end(job, Cancelled(), "jobs_cancelled")
        for position, job in enumerate(waiting):
            if job.position != position:
                job.position = position
                self._send(job, Queued(position=position))
        if self._running is not None and self._running.job.cancelled:
            self._stop(Cancelled(), "jobs_cancelled")
        elif self._running is not None and self._running.job.take_skip():
            self._skip(self._running)

    def step(self) -> None:
        """Take one step of the job whose turn it is."""
        running = self._running or self._begin()
        self._running = running
        if running is None:
            return
        event = attempt(lambda: next(running.events, None))
        if isinstance(event, Failure):
            message, number = event.explain()
            self._stop(
                Failed(message=message, id=number, at_fault=event.at_fault, blamed=event.blamed),
                "jobs_failed",
            )
            return
        if isinstance(event, RetouchedPicture):
            self._stop(Retouched(picture=event), "jobs_done")
            return
        if event is not None:
            self._report(running, event)
        self._finish_if_done(running)

    def close(self) -> None:
        """Cancel every job."""
        if self._running is not None:
            self._stop(Cancelled(), "jobs_cancelled")
        with self.door:
            waiting = list(self.queue)
            for job in waiting:
                job.cancel()
            self.queue.remove_cancelled()
        for job in waiting:
            self._end(job, Cancelled(), "jobs_cancelled")

    def _begin(self) -> _Running | None:
        with self.door:
            job = self.queue.take()
        if job is None:
            return None
        job.position = None
        events = self.begin(job, job.requests)
        return _Running(job=job, events=events, began_at=self.clock(), left=job.requests)

    def _skip(self, running: _Running) -> None:
        """Leave out the picture under way and go on with the next; a retouch ends with it."""
        if running.job.retouch is not None:
            self._stop(Cancelled(), "jobs_cancelled")
            return
        _close(running.events)
        running.left = running.left[1:]
        running.events = self.begin(running.job, running.left) if running.left else iter(())
        self._finish_if_done(running)

    def _finish_if_done(self, running: _Running) -> None:
        if not running.left and running.job.retouch is None:
            waited, took = running.began_at - running.job.submitted_at, self.clock() - running.began_at
            timings = {"queue": 1e3 * waited, "total": 1e3 * took}
            self._stop(Done(pictures=tuple(running.pictures), timings_ms=timings), "jobs_done")

    def _report(self, running: _Running, event: Event) -> None:
        job = running.job
        if isinstance(event, Finished):
            running.pictures += event.pictures
            running.left = running.left[len(event.pictures) :]
            self.stats.count("pictures", len(event.pictures))
            self.stats.count("rescues", sum(picture.rescues.total for picture in event.pictures))
            self._send(job, Painted(pictures=event.pictures))
            return
        if isinstance(event, Started):
            running.remarks = event.remarks
            step, total, preview = 0, event.requests[0].steps, None
        else:
            step, total = event.index, event.total
            preview = event.previews[0].encode("jpeg") if event.previews else None
        pictures = max(1, len(job.requests))
        number = pictures - max(1, len(running.left)) + 1
        told = Progress(
            picture=number, pictures=pictures, step=step, total=total, preview=preview,
            remarks=running.remarks,
        )  # fmt: skip
        self._send(job, told)

    def _stop(self, update: JobUpdate, counter: str) -> None:
        running, self._running = self._running, None
        if running is not None:
            _close(running.events)
            self._end(running.job, update, counter)

    def _end(self, job: Job, update: JobUpdate, counter: str) -> None:
        self.stats.count(counter)
        self._send(job, update)
        job.end()

    def _send(self, job: Job, update: JobUpdate) -> None:
        sent = attempt(lambda: job.on_update(update))
        if isinstance(sent, Failure):
            _LOG.error("the callback of job %d failed; it is cancelled", job.number, exc_info=sent.error)
            job.cancel()


def _close(events: Iterator[Event | RetouchedPicture]) -> None:
    close = getattr(events, "close", None)
    if close is not None:
        close()
