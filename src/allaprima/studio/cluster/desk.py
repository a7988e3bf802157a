"""The cluster's thread: who has come, who is gone, and who gets what."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from allaprima import __version__
from allaprima.core.errors import AllaPrimaError, PaintError
from allaprima.core.request_defaults import RequestDefaults
from allaprima.studio.cluster.cluster_session import ClusterSession
from allaprima.studio.cluster.job_dispatch import JobDispatch
from allaprima.studio.cluster.link import Link
from allaprima.studio.cluster.member import ClusterMember
from allaprima.studio.cluster.session_dispatch import SessionDispatch
from allaprima.studio.cluster.slots import ReplicaSlot, Slots
from allaprima.studio.cluster.totals import sum_snapshots
from allaprima.studio.cluster.wire import Greeting, JobWord, Leaving, LiveWord, LoadFailure, Pulse, Word
from allaprima.studio.engine.messages import LivePrompt
from allaprima.studio.engine.stats import Snapshot

_LOG = logging.getLogger(__name__)
MOST_DEATHS = 3
"""A cluster that never had a replica gives up when so many in a row have died in one place."""
SILENT_S = 20.0
"""A replica of another machine that says nothing for so long is taken for lost."""


@dataclass(eq=False, kw_only=True)
class Desk:
    """What a cluster knows and does. `post` is for any thread, everything else for the one in `run`."""

    bases: Sequence[str]
    slots: Slots
    jobs: JobDispatch
    sessions: SessionDispatch
    clock: Callable[[], float]
    on_loaded: Callable[[], None]
    """Called once, when the first base is loaded or cannot be."""
    members: list[ClusterMember] = field(default_factory=list)
    past: Snapshot | None = None
    """What those counted that are gone."""
    defaults: dict[str, RequestDefaults] = field(default_factory=dict)
    """Of all bases that any replica ever loaded."""
    layout_readers: set[str] = field(default_factory=set)
    """Those of them that are told what stands where."""
    load_error: BaseException | None = None
    has_loaded: bool = False
    """Whether any replica ever had its base."""
    _events: queue.SimpleQueue[Callable[[], None]] = field(default_factory=queue.SimpleQueue)
    _closing: bool = False

    def post(self, event: Callable[[], None]) -> None:
        """Have the cluster's thread call `event`, and settle what follows from it; any thread."""
        self._events.put(event)

    def ring(self) -> None:
        """Have the cluster's thread look at what there is; any thread."""
        self.post(lambda: None)

    def end(self) -> None:
        """Have `run` return; any thread."""
        self.post(partial(setattr, self, "_closing", True))

    def join(self, link: Link, name: str) -> None:
        """Take in a replica that has come by itself; any thread."""
        self.post(partial(self._take_in, ClusterMember(name=name, link=link, heard_at=self.clock()), None))

    def run(self) -> None:
        """Serve until `end`, and then `finish`."""
        try:
            while not self._closing:
                self._settle()
                self._wait()
        finally:
            self.finish()

    def finish(self) -> None:
        """Cancel what is left, and end the replicas that were started here."""
        self.jobs.close(self.members)
        for member in self.members:
            member.link.close()
        for member in self.members:
            if member.process is not None:
                member.process.stop()

    # What happens ---------------------------------------------------------------------------------------------

    def ask(self, session: ClusterSession, prompt: LivePrompt | None) -> None:
        """Pass on what a session asks for; None: it was closed."""
        if prompt is None:
            self.sessions.end(session, self.members)
        elif not session.closed:
            self.sessions.ask(session, prompt, self.members)

    def _wait(self) -> None:
        """Do what is posted next, or nothing once it is time to look for oneself."""
        due = self.slots.next_due()
        delay = SILENT_S / 4 if due is None else max(0.0, min(SILENT_S / 4, due - self.clock()))
        try:
            self._events.get(timeout=delay)()
        except queue.Empty:
            return
        while not self._events.empty() and not self._closing:  # settle once for all that has come meanwhile
            self._events.get()()

    def _settle(self) -> None:
        self.sessions.settle(self.members)
        self.jobs.settle(self.members)
        now = self.clock()
        for member in list(self.members):
            if member.process is None and now - member.heard_at > SILENT_S:
                _LOG.warning("%s says nothing", member.name)
                member.link.close()
                member.heard_at = now  # its reader tells when it is gone
            elif member.is_leaving and member.run is None:
                member.link.close()
        for slot in self.slots.due(now) if self.load_error is None else ():
            process = self.slots.start(slot)
            name = f"replica {slot.number}"
            self._take_in(ClusterMember(name=name, link=process.link, process=process, heard_at=now), slot)

    def _take_in(self, member: ClusterMember, slot: ReplicaSlot | None) -> None:
        self.members.append(member)
        threading.Thread(target=self._listen, args=(member, slot), name=member.name, daemon=True).start()

    def _listen(self, member: ClusterMember, slot: ReplicaSlot | None) -> None:
        """Post what a replica says, to the end; a thread of its own."""
        for word in member.link.records():
            self.post(partial(self._follow, member, word))
        self.post(partial(self._lose, member, slot))

    def _follow(self, member: ClusterMember, word: Word) -> None:
        member.heard_at = self.clock()
        match word:
            case Greeting():
                self._greet(member, word)
            case Pulse():
                member.snapshot = word.snapshot
                self.defaults |= word.defaults
                self.layout_readers.update(word.layout_readers)
                if not member.is_ready:
                    self._make_ready(member)
            case JobWord():
                self.jobs.follow(member, word.number, word.update)
            case LiveWord():
                self.sessions.follow(member, word.number, word.update)
            case Leaving():
                _LOG.info("%s is leaving", member.name)
                member.is_leaving = True
                self.sessions.lose(member)
            case LoadFailure():
                _LOG.error("%s cannot load its base: %s", member.name, word.error)
                if not self.has_loaded and member.process is not None:
                    self._give_up(word.error)

    def _greet(self, member: ClusterMember, greeting: Greeting) -> None:
        member.pid = greeting.pid
        missing = [base for base in self.bases if base not in greeting.bases]
        if greeting.version == __version__ and not missing:
            return
        reason = (
            f"it has no {', '.join(missing)}"
            if missing
            else f"it is of version {greeting.version}, not {__version__}"
        )
        _LOG.error("%s is sent away: %s", member.name, reason)
        member.is_leaving = True

    def _make_ready(self, member: ClusterMember) -> None:
        member.is_ready = True
        _LOG.info("%s paints (process %s)", member.name, member.pid)
        if not self.has_loaded:
            self.has_loaded = True
            self.on_loaded()

    def _lose(self, member: ClusterMember, slot: ReplicaSlot | None) -> None:
        self.members.remove(member)
        self.past = sum_snapshots([one for one in (self.past, member.snapshot) if one is not None])
        _LOG.log(logging.INFO if member.is_leaving else logging.WARNING, "%s is gone", member.name)
        self.sessions.lose(member)
        self.jobs.lose(member)
        if slot is None or member.process is None:
            return
        slot.note_death(loaded=member.is_ready)
        if not self.has_loaded and slot.deaths >= MOST_DEATHS:
            self._give_up(PaintError("replicas end while they load their base; the lines above say why"))
        self.slots.bury(member.process, lambda: self.post(partial(slot.free, self.clock())))

    def _give_up(self, error: AllaPrimaError) -> None:
        if self.load_error is None:
            self.load_error = error
            self.on_loaded()
