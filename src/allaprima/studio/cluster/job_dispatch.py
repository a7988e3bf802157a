"""The jobs of a cluster: one queue for all, one job a replica, and nothing lost with a replica that is lost."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from allaprima.studio.cluster.job_run import JobRun
from allaprima.studio.cluster.member import ClusterMember
from allaprima.studio.cluster.placement import replica_for_job
from allaprima.studio.cluster.replica import ENDS
from allaprima.studio.cluster.wire import CancelOrder, SkipOrder
from allaprima.studio.engine.attempt import Failure, attempt
from allaprima.studio.engine.job_queue import Job, JobQueue
from allaprima.studio.engine.messages import Cancelled, Failed, JobUpdate, Queued
from allaprima.studio.engine.stats import Stats

_LOG = logging.getLogger(__name__)
MOST_LOSSES = 3
"""A job that so many replicas were lost with is taken for the reason, and given to no more."""


@dataclass(kw_only=True)
class JobDispatch:
    """All jobs of one cluster. Belongs to its thread, except that `queue` is shared under `lock`."""

    queue: JobQueue
    lock: threading.Lock
    stats: Stats
    """Counts jobs that end without a replica's having counted them."""
    clock: Callable[[], float]
    _returned: deque[JobRun] = field(default_factory=deque)
    """Those whose replica was lost; they are next."""

    def settle(self, members: Sequence[ClusterMember]) -> None:
        """Let cancelled jobs go, tell the others their positions, and give each free replica one."""
        with self.lock:
            gone = self.queue.remove_cancelled()
        for job in gone:
            self._end_here(job, Cancelled(), "jobs_cancelled")
        for member in members:
            if member.run is not None:
                _hand_on_wishes(member, member.run)
        while free := [member for member in members if member.is_open and member.run is None]:
            run = self._next()
            if run is None:
                break
            self._give(run, free)
        with self.lock:
            waiting = list(self.queue)
        for position, job in enumerate(waiting):
            if job.position != position:
                job.position = position
                self._send(job, Queued(position=position))

    def follow(self, member: ClusterMember, number: int, update: JobUpdate) -> None:
        """Hand on what a replica says of its job."""
        run = member.run
        if run is None or run.job.number != number:
            return
        skipped = run.skip_told and run.job.retouch is not None
        if isinstance(update, Cancelled) and not run.job.cancelled and not skipped:
            member.run, member.is_leaving = None, True  # its engine was closed
            self._returned.append(run)
            return
        told = run.follow(update, self.clock())
        if told is None:
            return
        self._send(run.job, told)
        if isinstance(told, ENDS):
            member.run = None
            run.job.end()

    def lose(self, member: ClusterMember) -> None:
        """Take back the job of a replica that is gone."""
        run, member.run = member.run, None
        if run is None:
            return
        run.losses += 1
        if run.job.cancelled:
            self._end_here(run.job, Cancelled(), "jobs_cancelled")
        elif run.is_settled:
            self._end_here(run.job, run.done(self.clock()), "jobs_done")
        elif run.losses >= MOST_LOSSES:
            number = secrets.token_hex(4)
            _LOG.error(
                "%s: job %d was given up: %d replicas were lost with it", number, run.job.number, run.losses
            )
            message = (
                f"{run.losses} replicas ended while they painted this; the studio's log has it under {number}"
            )
            self._end_here(run.job, Failed(message=message, id=number), "jobs_failed")
        else:
            self._returned.append(run)

    def close(self, members: Sequence[ClusterMember]) -> None:
        """Cancel every job."""
        runs = [*self._returned, *(member.run for member in members if member.run is not None)]
        self._returned.clear()
        for member in members:
            member.run = None
        with self.lock:
            waiting = list(self.queue)
            for job in (*waiting, *(run.job for run in runs)):
                job.cancelled = True
            self.queue.remove_cancelled()
        for job in (*(run.job for run in runs), *waiting):
            self._end_here(job, Cancelled(), "jobs_cancelled")

    def _next(self) -> JobRun | None:
        while self._returned:
            run = self._returned.popleft()
            if not run.job.cancelled:
                return run
            self._end_here(run.job, Cancelled(), "jobs_cancelled")
        with self.lock:
            job = self.queue.take()
        if job is None:
            return None
        job.position = None
        return JobRun(job, self.clock())

    def _give(self, run: JobRun, free: Sequence[ClusterMember]) -> None:
        outfit = run.outfit
        member = replica_for_job(free, outfit)
        member.run, member.last_outfit, member.last_used = run, outfit, self.clock()
        member.link.put(run.order())

    def _end_here(self, job: Job, update: JobUpdate, counter: str) -> None:
        self.stats.count(counter)
        self._send(job, update)
        job.end()

    def _send(self, job: Job, update: JobUpdate) -> None:
        sent = attempt(job.on_update, update)
        if isinstance(sent, Failure):
            _LOG.error("the callback of job %d failed; it is cancelled", job.number, exc_info=sent.error)
            job.cancel()


def _hand_on_wishes(member: ClusterMember, run: JobRun) -> None:
    if run.job.cancelled and not run.cancel_told:
        run.cancel_told = True
        member.link.put(CancelOrder(number=run.job.number))
    elif run.job.take_skip():
        run.skip_told = True
        member.link.put(SkipOrder(number=run.job.number))
