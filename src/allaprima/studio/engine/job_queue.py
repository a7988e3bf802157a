"""The queue of whole pictures: owners take turns, and every job knows its position. No torch.

Start-time fair queuing (Goyal et al. 1996): an owner's next job starts, in virtual time, when the one before it has
used up as many pictures as it asks for. Somebody who queues a hundred jobs waits behind whoever comes with one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field

from allaprima.core.errors import BusyError
from allaprima.core.init_image import InitImage
from allaprima.core.request import GenerationRequest
from allaprima.studio.engine.messages import JobUpdate, RetouchOrder


@dataclass(eq=False)
class Job:
    """Whole pictures that were asked for; every method may be called from any thread and returns at once."""

    number: int
    requests: tuple[GenerationRequest, ...]
    on_update: Callable[[JobUpdate], None]
    _: KW_ONLY
    owner: str
    previews: bool
    init_image: InitImage | None = None
    retouch: RetouchOrder | None = None
    """What is to be done to a picture, in place of painting `requests`, of which there are none then."""
    submitted_at: float
    ring: Callable[[], None]
    position: int | None = None
    """Jobs that will be begun before it, as last reported; None once it is begun."""
    cancelled: bool = False
    _skipped: bool = False
    _ended: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Stop before the next step; answered by Cancelled, unless the job ends first."""
        self.cancelled = True
        self.ring()

    def skip(self) -> None:
        """Leave out the picture under way before its next step, and go on; does nothing before the first is begun."""
        self._skipped = True
        self.ring()

    def take_skip(self) -> bool:
        """Return whether a picture is to be left out, and forget it; for the engine."""
        skipped, self._skipped = self._skipped, False
        return skipped

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the last update was sent; return whether it was. Not from a callback."""
        return self._ended.wait(timeout)

    def end(self) -> None:
        """Note that the last update was sent; for the engine."""
        self._ended.set()


@dataclass
class JobQueue:
    """Jobs that wait. Not for several threads at once; its owner locks."""

    capacity: int
    """How many may wait."""
    _waiting: list[tuple[float, int, Job]] = field(default_factory=list)
    _virtual: float = 0.0
    _owed: dict[str, float] = field(default_factory=dict)
    """Owner to the virtual time at which its next job starts; owners who owe nothing are left out."""

    def put(self, job: Job) -> None:
        """Let `job` wait; BusyError if there is no room."""
        if len(self) >= self.capacity:
            raise BusyError(f"{len(self)} jobs wait, which is all there is room for; try again later")
        start = max(self._virtual, self._owed.get(job.owner, 0.0))
        self._owed[job.owner] = start + max(1, len(job.requests))
        self._waiting.append((start, job.number, job))
        self._waiting.sort(key=lambda entry: entry[:2])

    def take(self) -> Job | None:
        """Remove and return the next job, None if none waits."""
        if not self._waiting:
            return None
        self._virtual, _, job = self._waiting.pop(0)
        self._owed = {owner: owed for owner, owed in self._owed.items() if owed > self._virtual}
        return job

    def remove_cancelled(self) -> list[Job]:
        """Remove and return the jobs that were cancelled while they waited."""
        gone = [job for _, _, job in self._waiting if job.cancelled]
        self._waiting = [entry for entry in self._waiting if not entry[2].cancelled]
        # What was cancelled is not held against its owner.
        for owner in {job.owner for job in gone} - {job.owner for _, _, job in self._waiting}:
            self._owed.pop(owner, None)
        return gone

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Job]:
        """Yield the jobs in the order in which they will be begun."""
        return iter([job for _, _, job in self._waiting])
