"""The doors to a cluster, which any thread may use: those of one engine, with several behind them.

    plan = ReplicaPlan(painter_factory=load, bases=("vignette",))
    with closing(Cluster(plan, replicas=2)) as cluster:
        cluster.begin()
        job = cluster.submit([GenerationRequest(prompt="a cat")], on_update)

Updates come on the cluster's thread, which does nothing else while a callback runs: hand them on and return at once.
A job goes to a replica that is free, a live session stays with its own; what a lost replica had goes on at another.
Importing this loads no torch, and a cluster never does: its replicas do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from allaprima.core.errors import BusyError
from allaprima.core.init_image import InitImage
from allaprima.core.request import GenerationRequest
from allaprima.studio.cluster.cluster_session import ClusterSession
from allaprima.studio.cluster.desk import Desk
from allaprima.studio.cluster.job_dispatch import JobDispatch
from allaprima.studio.cluster.link import Link
from allaprima.studio.cluster.replica_process import ReplicaPlan
from allaprima.studio.cluster.session_dispatch import SessionDispatch
from allaprima.studio.cluster.slots import Slots
from allaprima.studio.cluster.totals import sum_snapshots
from allaprima.studio.engine.admission import check_job, check_retouch
from allaprima.studio.engine.job_queue import Job, JobQueue
from allaprima.studio.engine.limits import Limits
from allaprima.studio.engine.messages import JobUpdate, LivePrompt, LiveUpdate, RetouchOrder
from allaprima.studio.engine.stats import Snapshot, Stats

if TYPE_CHECKING:
    from allaprima.core.request_defaults import RequestDefaults


class Cluster:
    """Live sessions and whole pictures on several devices; an `EngineDoor`.

    Args:
        plan: what each replica of this machine is made of.
        replicas: how many are started here; others may `join`.
        limits: how many jobs may wait in all, and how many live sessions each replica has.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        plan: ReplicaPlan,
        *,
        replicas: int,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bases = plan.bases
        self.limits = limits or Limits()
        self._replicas = replicas
        self._clock = clock
        self._lock = threading.Lock()
        """Guards what several threads touch: the queue, the sessions, who waits for the base."""
        self._queue = JobQueue(self.limits.jobs)
        self._stats = Stats()
        self._numbers = count(1)
        self._sessions: set[ClusterSession] = set()
        self._awaiting: list[Callable[[], None]] = []
        self._is_loaded = False
        self._closing = False
        self._desk = Desk(
            bases=self.bases, slots=Slots(plan=plan, count=replicas), clock=clock, on_loaded=self._tell_loaded,
            jobs=JobDispatch(queue=self._queue, lock=self._lock, stats=self._stats, clock=clock),
            sessions=SessionDispatch(clock=clock),
        )  # fmt: skip
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start the replicas and return at once; what is asked for meanwhile waits for the first that is ready.

        If the first base cannot be loaded, `load_error` says why.
        """
        if self._thread is not None:
            raise RuntimeError("the cluster was started before; a cluster is started once")
        self._thread = threading.Thread(target=self._desk.run, name="allaprima-cluster", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cancel every job, close every session and end the replicas that were started here.

        May be called at any time and more than once; not from a callback.
        """
        with self._lock:
            self._closing = True
            sessions = list(self._sessions)
        for session in sessions:
            session.close()
        self._desk.end()
        if self._thread is None:
            self._desk.finish()
        else:
            self._thread.join()
        self._tell_loaded()

    def join(self, link: Link, name: str) -> None:
        """Take in a replica that was started elsewhere, by a name for the log."""
        self._desk.join(link, name)

    def submit(
        self,
        requests: Sequence[GenerationRequest],
        on_update: Callable[[JobUpdate], None],
        *,
        owner: str = "",
        previews: bool = False,
        init_image: InitImage | None = None,
    ) -> Job:
        """Queue `requests` to be painted as one job, as `Engine.submit`.

        Raises:
            RequestError: there are no pictures or too many, or a base is not among `bases`.
            BusyError: too many jobs wait, or the cluster is closed.
        """
        check_job(requests, self.bases, self.limits.pictures_per_job)
        return self._queue_job(tuple(requests), on_update, owner, previews=previews, init_image=init_image)

    def retouch(self, order: RetouchOrder, on_update: Callable[[JobUpdate], None], *, owner: str = "") -> Job:
        """Queue a picture to be retouched, as `Engine.retouch`.

        Raises:
            RequestError: there is nothing to do, or the base that is to paint is not among `bases`.
            BusyError: too many jobs wait, or the cluster is closed.
        """
        check_retouch(order, self.bases)
        return self._queue_job((), on_update, owner, retouch=order)

    def open_live(self, on_update: Callable[[LiveUpdate], None]) -> ClusterSession:
        """Open a live session whose frames and failures `on_update` gets, on the cluster's thread.

        Raises:
            BusyError: too many sessions are open, or the cluster is closed.
        """
        with self._lock:
            self._check_open()
            self._sessions = {session for session in self._sessions if not session.closed}
            most = self.limits.sessions * max(1, self._replicas, len(self._desk.members))
            if len(self._sessions) >= most:
                raise BusyError(
                    f"{most} live sessions are open, which is all there is room for; try again later"
                )
            session = ClusterSession(
                number=next(self._numbers), on_update=on_update, bases=self.bases, pass_on=self._pass_on
            )
            self._sessions.add(session)
        return session

    def defaults(self, base: str) -> RequestDefaults | None:
        """Return what `base` paints where nobody says otherwise; None before a replica loaded it."""
        return self._desk.defaults.get(base)

    def reads_layout(self, base: str) -> bool:
        """Return whether `base` was loaded by a replica and is told what stands where."""
        return base in self._desk.layout_readers

    @property
    def alive(self) -> bool:
        """Whether it was begun, and neither closed nor broken."""
        return self._thread is not None and self._thread.is_alive() and self.load_error is None

    @property
    def is_loading(self) -> bool:
        """Whether it was begun and its first base is still to come."""
        return self.alive and not self._is_loaded

    @property
    def load_error(self) -> BaseException | None:
        """What kept the first base from being loaded, None if nothing did so far."""
        return self._desk.load_error

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes of the replicas that paint now."""
        return tuple(one.pid for one in list(self._desk.members) if one.is_ready and one.pid is not None)

    def when_loaded(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the first base is loaded or cannot be, on the cluster's thread; perhaps now."""
        with self._lock:
            if not self._is_loaded:
                self._awaiting.append(callback)
                return
        callback()

    def stats(self) -> Snapshot:
        """Return the counters since the start, half a second old at most, and what waits now; any thread, at once."""
        members = list(self._desk.members)
        told = [one for one in (self._desk.past, *(member.snapshot for member in members)) if one is not None]
        with self._lock:
            waiting, sessions = len(self._queue), sum(not one.closed for one in self._sessions)
        own = Snapshot(
            counters=dict(self._stats.counters), sessions=sessions, jobs_waiting=waiting,
            jobs_running=sum(member.is_busy for member in members),
            latency_counts=tuple(self._stats.latency_counts), latency_sum_ms=0.0,
            replicas=sum(member.is_ready for member in members),
        )  # fmt: skip
        counted = sum_snapshots([own, *told])
        return replace(
            own, counters=counted.counters, latency_counts=counted.latency_counts,
            latency_sum_ms=counted.latency_sum_ms,
        )  # fmt: skip

    def _queue_job(
        self,
        requests: tuple[GenerationRequest, ...],
        on_update: Callable[[JobUpdate], None],
        owner: str,
        *,
        previews: bool = False,
        init_image: InitImage | None = None,
        retouch: RetouchOrder | None = None,
    ) -> Job:
        with self._lock:
            self._check_open()
            job = Job(
                next(self._numbers), requests, on_update, owner=owner, previews=previews, init_image=init_image,
                retouch=retouch, submitted_at=self._clock(), ring=self._desk.ring,
            )  # fmt: skip
            self._queue.put(job)
        self._desk.ring()
        return job

    def _pass_on(self, session: ClusterSession, prompt: LivePrompt | None) -> None:
        self._desk.post(lambda: self._desk.ask(session, prompt))

    def _tell_loaded(self) -> None:
        with self._lock:
            self._is_loaded = True
            awaiting, self._awaiting = self._awaiting, []
        for callback in awaiting:
            callback()

    def _check_open(self) -> None:
        if self._closing:
            raise BusyError("the studio is closing; try again when it is back")
