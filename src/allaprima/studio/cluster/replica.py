"""A replica: an engine that a cluster orders about over a link."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field, replace
from functools import partial

from allaprima import __version__
from allaprima.core.errors import AllaPrimaError
from allaprima.studio.cluster.link import Link
from allaprima.studio.cluster.wire import (
    CancelOrder,
    CloseOrder,
    ClusterOrder,
    Greeting,
    JobOrder,
    JobWord,
    Leaving,
    LiveOrder,
    LiveWord,
    LoadFailure,
    Pulse,
    SkipOrder,
)
from allaprima.studio.engine.attempt import Failure, attempt
from allaprima.studio.engine.engine import Engine
from allaprima.studio.engine.job_queue import Job
from allaprima.studio.engine.live_session import LiveSession
from allaprima.studio.engine.messages import (
    Cancelled,
    Done,
    Failed,
    JobUpdate,
    LiveFailed,
    LivePrompt,
    Retouched,
)

_LOG = logging.getLogger(__name__)
PULSE_S = 0.5
"""How often a replica tells how it fares."""
ENDS = (Done, Retouched, Failed, Cancelled)


@dataclass
class _Session:
    live: LiveSession
    last: LivePrompt | None = None


@dataclass(kw_only=True)
class Replica:
    """Serves one cluster with one engine, which is begun and closed here."""

    engine: Engine
    """Not begun."""
    link: Link
    _jobs: dict[int, Job] = field(default_factory=dict)
    _sessions: dict[int, _Session] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Do what the cluster orders until it hangs up, or the engine breaks."""
        self.link.put(Greeting(version=__version__, pid=os.getpid(), bases=self.engine.bases))
        pulse = threading.Thread(target=self._tell_pulse, name="replica pulse", daemon=True)
        try:
            self.engine.begin()
            self.engine.when_loaded(partial(self._loaded, pulse))
            for order in self.link.records():
                self._follow(order)
        finally:
            self._over.set()
            self.link.close()
            self.engine.close()

    def leave(self) -> None:
        """Ask the cluster to give this replica nothing more, and to hang up when its job is done; any thread."""
        self.link.put(Leaving())

    def _loaded(self, pulse: threading.Thread) -> None:
        error = self.engine.load_error
        if error is None:
            self.link.put(self._pulse())
            pulse.start()
            return
        known = isinstance(error, AllaPrimaError)
        if not known:
            _LOG.error("the base cannot be loaded", exc_info=error)
        told = (
            error if isinstance(error, AllaPrimaError) else AllaPrimaError(f"{type(error).__name__}: {error}")
        )
        self.link.put(LoadFailure(error=told))
        self.link.close()

    def _tell_pulse(self) -> None:
        while not self._over.wait(PULSE_S):
            if not self.engine.alive:
                self.link.close()  # the cluster replaces whoever hangs up
                return
            self.link.put(self._pulse())

    def _pulse(self) -> Pulse:
        known = {base: self.engine.defaults(base) for base in self.engine.bases}
        loaded = {base: defaults for base, defaults in known.items() if defaults is not None}
        readers = tuple(filter(self.engine.reads_layout, loaded))
        return Pulse(snapshot=self.engine.stats(), defaults=loaded, layout_readers=readers)

    def _follow(self, order: ClusterOrder) -> None:
        match order:
            case JobOrder():
                self._begin_job(order)
            case CancelOrder(number=number) if number in self._jobs:
                self._jobs[number].cancel()
            case SkipOrder(number=number) if number in self._jobs:
                self._jobs[number].skip()
            case LiveOrder():
                self._show(order)
            case CloseOrder(number=number) if number in self._sessions:
                self._sessions.pop(number).live.close()
            case _:
                pass  # of a job or session that has ended

    def _begin_job(self, order: JobOrder) -> None:
        say = partial(self._say_of_job, order.number)
        if order.retouch is not None:
            job = attempt(self.engine.retouch, order.retouch, say)
        else:
            submit = partial(self.engine.submit, previews=order.previews, init_image=order.init_image)
            job = attempt(submit, order.requests, say)
        if not isinstance(job, Failure):
            self._jobs[order.number] = job
            return
        message, number = job.explain()
        self.link.put(JobWord(
            number=order.number,
            update=Failed(message=message, id=number, at_fault=job.at_fault, blamed=job.blamed),
        ))  # fmt: skip

    def _say_of_job(self, number: int, update: JobUpdate) -> None:
        if isinstance(update, Done):
            update = replace(update, pictures=())
        self.link.put(JobWord(number=number, update=update))
        if isinstance(update, ENDS):
            self._jobs.pop(number, None)

    def _show(self, order: LiveOrder) -> None:
        number, prompt = order.number, order.prompt
        session = self._sessions.get(number)
        if session is None:
            live = attempt(
                self.engine.open_live, lambda update: self.link.put(LiveWord(number=number, update=update))
            )
            if isinstance(live, Failure):
                self._refuse(order, live)
                return
            session = self._sessions[number] = _Session(live)
        if order.same_image and session.last is not None:
            # The very object, as an engine has it at hand already.
            prompt = replace(prompt, init_image=session.last.init_image)
        session.last = prompt
        asked = attempt(session.live.ask, prompt)
        if isinstance(asked, Failure):
            self._refuse(order, asked)

    def _refuse(self, order: LiveOrder, failure: Failure) -> None:
        message, problem = failure.explain()
        update = LiveFailed(sequence=order.prompt.sequence, message=message, id=problem)
        self.link.put(LiveWord(number=order.number, update=update))
