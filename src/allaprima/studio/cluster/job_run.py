"""A job on its way through replicas: what of it is done, so that another replica can go on where one was lost."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from allaprima.core.picture import Picture
from allaprima.studio.cluster.placement import outfit_of, outfit_of_request
from allaprima.studio.cluster.wire import JobOrder
from allaprima.studio.engine.job_queue import Job
from allaprima.studio.engine.messages import Done, JobUpdate, Painted, Progress, Queued


@dataclass(eq=False)
class JobRun:
    """A job that was begun."""

    job: Job
    began_at: float
    """When it was first begun; the cluster's clock."""
    losses: int = 0
    """Replicas that were lost while they had it."""
    cancel_told: bool = False
    """Whether its replica was told to stop."""
    skip_told: bool = False
    """Whether its replica was told to leave a picture out, which ends a retouch."""
    _painted: list[Picture] = field(default_factory=list)
    _settled: int = 0
    """Requests whose pictures are finished or skipped; pictures come in the order of the requests."""
    _before: int = 0
    """Those of them that were settled when its replica got it."""

    @property
    def outfit(self) -> Hashable:
        """What a replica wears for it."""
        if self.job.requests:
            return outfit_of_request(self.job.requests[min(self._settled, len(self.job.requests) - 1)])
        order = self.job.retouch
        request = None if order is None else order.picture.request
        return outfit_of("", ()) if request is None else outfit_of(request.base, ())

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it is left to paint."""
        return self.job.retouch is None and self._settled >= len(self.job.requests)

    def order(self) -> JobOrder:
        """Return what a replica is to do: what is left of it."""
        self._before, self.cancel_told, job = self._settled, False, self.job
        return JobOrder(
            number=job.number, requests=job.requests[self._settled :], previews=job.previews,
            init_image=job.init_image, retouch=job.retouch,
        )  # fmt: skip

    def follow(self, update: JobUpdate, now: float) -> JobUpdate | None:
        """Return what its replica says in the words of the whole job; None for what is nobody's business."""
        match update:
            case Queued():  # at the replica, where nothing is before it
                return None
            case Progress():
                if self.job.retouch is not None:
                    return update
                self._settled = max(self._settled, self._before + update.picture - 1)
                return replace(update, picture=self._before + update.picture, pictures=len(self.job.requests))
            case Painted(pictures=pictures):
                self._painted += pictures
                self._settled += len(pictures)
                return update
            case Done():
                return self.done(now)
            case _:
                return update

    def done(self, now: float) -> Done:
        """Return its last update, once everything is settled."""
        timings = {"queue": self.began_at - self.job.submitted_at, "total": now - self.began_at}
        return Done(
            pictures=tuple(self._painted), timings_ms={name: 1e3 * took for name, took in timings.items()}
        )
