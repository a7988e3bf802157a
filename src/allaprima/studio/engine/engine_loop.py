"""The engine's thread: what is next, for ever, and what other threads may do beside it.

Importing this loads no torch; `load` does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from allaprima.core.errors import BusyError
from allaprima.core.events import Event
from allaprima.core.init_image import InitImage
from allaprima.core.request import GenerationRequest
from allaprima.core.retouched import RetouchedPicture
from allaprima.studio.engine.attempt import Failure, attempt
from allaprima.studio.engine.fairness import FairShare
from allaprima.studio.engine.job_queue import Job, JobQueue
from allaprima.studio.engine.job_scheduler import JobScheduler
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.live_scheduler import LiveScheduler
from allaprima.studio.engine.live_session import LiveSession
from allaprima.studio.engine.messages import JobUpdate, LiveUpdate, RetouchOrder
from allaprima.studio.engine.stats import Snapshot, Stats

if TYPE_CHECKING:
    from allaprima.core.request_defaults import RequestDefaults
    from allaprima.paint.painter import Painter
    from allaprima.studio.engine.model_runner import ModelRunner

_LOG = logging.getLogger(__name__)

FIRST, REFINE, JOB = "first frames", "finer frames", "whole pictures"
PATIENCE = {FIRST: 1, REFINE: 4, JOB: 4}
"""Turns that each kind of work lets others go first. A turn is a pass of first frames or a step of the others."""


PAUSE_S, MOST_PAUSES = 0.005, 500
"""When nothing is asked for, LoRAs are merged into the weights in such slices, and no more than so many in a row."""


class EngineLoop:
    """All that one engine has under way."""

    def __init__(
        self,
        painter_factory: Callable[[str], Painter],
        limits: Limits,
        clock: Callable[[], float],
        models_dirs: Sequence[Path] = (),
    ) -> None:
        self._factory = painter_factory
        self._models_dirs = models_dirs
        self._limits = limits
        self._clock = clock
        self._door = threading.Condition()
        """Guards what several threads touch: the queue, the sessions, each session's waiting prompt."""
        self._stats = Stats()
        self._queue = JobQueue(limits.jobs)
        self._jobs = JobScheduler(
            begin=self._begin_job, queue=self._queue, door=self._door, stats=self._stats, clock=clock
        )
        self._sessions: list[LiveSession] = []
        self._newcomers: list[LiveSession] = []
        self._share = FairShare(dict(PATIENCE))
        self._numbers = count(1)
        self._rings = 0
        self._pauses = 0
        self._closing = False
        self._loaded = threading.Event()
        self._awaiting: list[Callable[[], None]] = []
        """Called when the base is loaded or cannot be."""
        self.load_error: BaseException | None = None
        self._runner: ModelRunner | None = None
        self._live: LiveScheduler | None = None

    # For any thread ------------------------------------------------------------------------------------------

    def submit(
        self,
        requests: tuple[GenerationRequest, ...],
        on_update: Callable[[JobUpdate], None],
        *,
        owner: str,
        previews: bool,
        init_image: InitImage | None,
        retouch: RetouchOrder | None = None,
    ) -> Job:
        """Queue a job; BusyError if there is no room."""
        with self._door:
            self._check_open()
            job = Job(
                next(self._numbers), requests, on_update, owner=owner, previews=previews,
                init_image=init_image, retouch=retouch, submitted_at=self._clock(), ring=self.ring,
            )  # fmt: skip
            self._queue.put(job)
        self.ring()
        return job

    def open_live(
        self, on_update: Callable[[LiveUpdate], None], check_base: Callable[[str], None]
    ) -> LiveSession:
        """Open a live session; BusyError if there is no room."""
        with self._door:
            self._check_open()
            self._sessions = [session for session in self._sessions if not session.closed]
            if len(self._sessions) >= self._limits.sessions:
                num_open = len(self._sessions)
                raise BusyError(
                    f"{num_open} live sessions are open, which is all there is room for; try again later"
                )
            number = next(self._numbers)
            session = LiveSession(number, on_update, check_base, self._door, self._clock, self.ring)
            self._sessions.append(session)
            self._newcomers.append(session)
        return session

    def ring(self) -> None:
        """Wake the engine's thread: there is something new."""
        with self._door:
            self._rings += 1
            self._door.notify_all()

    def close(self) -> None:
        """Have `run` return after the step under way."""
        with self._door:
            self._closing = True
            for session in self._sessions:
                session.close()
        self.ring()

    def wait_until_loaded(self) -> None:
        """Block until `run` has loaded its base, and raise what kept it from that."""
        self._loaded.wait()
        if self.load_error is not None:
            raise self.load_error

    @property
    def is_loaded(self) -> bool:
        """Whether the base is loaded, or cannot be."""
        return self._loaded.is_set()

    def when_loaded(self, callback: Callable[[], None]) -> None:
        """Call `callback` once `is_loaded`, perhaps now."""
        with self._door:
            if not self.is_loaded:
                self._awaiting.append(callback)
                return
        callback()

    def defaults(self, base: str) -> RequestDefaults | None:
        """Return what `base` paints where nobody says otherwise, None before it was loaded."""
        return None if self._runner is None else self._runner.defaults.get(base)

    def reads_layout(self, base: str) -> bool:
        """Return whether `base` was loaded and is told what stands where."""
        return self._runner is not None and base in self._runner.layout_readers

    def snapshot(self) -> Snapshot:
        """Return the numbers of this moment."""
        encoded, cached = (0, 0) if self._runner is None else self._runner.text_counts()
        with self._door:
            return Snapshot(
                counters={**self._stats.counters, "texts_encoded": encoded, "texts_known": cached},
                sessions=sum(not session.closed for session in self._sessions),
                jobs_waiting=len(self._queue),
                jobs_running=int(self._jobs.is_running),
                latency_counts=tuple(self._stats.latency_counts),
                latency_sum_ms=self._stats.latency_sum_ms,
            )

    # For the engine's thread ---------------------------------------------------------------------------------

    def run(self, base: str) -> None:
        """Load `base`, then paint until `close` is called; cancels what is left."""
        try:
            painted = attempt(lambda: self._paint_until_closed(base))
            if isinstance(painted, Failure) and self.is_loaded:
                _LOG.critical("the engine has stopped", exc_info=painted.error)
            elif isinstance(painted, Failure):
                self.load_error = painted.error  # for whoever waits for the base
        finally:
            self.finish()
            self._tell_loaded()

    def load(self, base: str) -> None:
        """Load `base`; from here on `turn` may be called."""
        # Here, not above: it imports torch, which those who only speak to an engine do without.
        from allaprima.studio.engine.model_runner import ModelRunner

        begun = self._clock()
        self._runner = ModelRunner(self._factory, self._limits, self._models_dirs)
        self._runner.painter(base)
        _LOG.info("%s was loaded in %.1f s", base, self._clock() - begun)
        self._live = LiveScheduler(
            runner=self._runner, limits=self._limits, stats=self._stats, clock=self._clock
        )
        self._tell_loaded()

    def turn(self) -> float | None:
        """Do one thing that there is to do.

        Returns:
            0.0 if there may be more; else how many seconds later there will be, None if something has to come first.
        """
        live = self._live
        if live is None:
            raise RuntimeError("nothing is loaded; expected load() before turn()")
        with self._door:
            newcomers, self._newcomers = self._newcomers, []
        for session in newcomers:
            live.open(session)
        live.settle()
        self._jobs.settle()
        due_in, refines_in = live.due_in(), live.refines_in()
        turns = {FIRST: live.paint_first, REFINE: live.refine, JOB: self._jobs.step}
        there = {FIRST: due_in == 0.0, REFINE: refines_in == 0.0, JOB: self._jobs.has_work}
        chosen = self._share.pick([kind for kind, is_there in there.items() if is_there])
        if chosen is None:
            later = [seconds for seconds in (due_in, refines_in) if seconds is not None]
            return 0.0 if self._tidy(live) else min(later, default=None)
        self._pauses = 0
        turns[chosen]()
        return 0.0

    def finish(self) -> None:
        """Cancel every job, close every session, let the bases go."""
        self.close()
        self._jobs.close()
        if self._live is not None:
            self._live.close()
        self._live = self._runner = None

    def _tell_loaded(self) -> None:
        with self._door:
            self._loaded.set()
            awaiting, self._awaiting = self._awaiting, []
        for callback in awaiting:
            callback()

    def _tidy(self, live: LiveScheduler) -> bool:
        """Use a pause for live sessions' LoRAs; return whether there is more of that to do."""
        if self._runner is None or not live.sessions or self._pauses >= MOST_PAUSES:
            return False
        self._pauses += 1
        return not self._runner.idle(PAUSE_S)

    def _paint_until_closed(self, base: str) -> None:
        self.load(base)
        while not self._closing:
            seen = self._rings
            delay = self.turn()
            with self._door:
                if delay != 0.0 and self._rings == seen and not self._closing:
                    self._door.wait(delay)

    def _begin_job(
        self, job: Job, requests: tuple[GenerationRequest, ...]
    ) -> Iterator[Event | RetouchedPicture]:
        assert self._runner is not None
        if job.retouch is not None:
            return self._runner.retouch(job.retouch)
        return self._runner.events(requests, previews=job.previews, init_image=job.init_image)

    def _check_open(self) -> None:
        if self._closing:
            raise BusyError("the studio is closing; try again when it is back")
