"""The live sessions of a cluster: each stays with one replica as long as that is there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from allaprima.studio.cluster.cluster_session import ClusterSession
from allaprima.studio.cluster.member import ClusterMember
from allaprima.studio.cluster.placement import replica_for_session
from allaprima.studio.cluster.wire import CloseOrder
from allaprima.studio.engine.attempt import Failure, attempt
from allaprima.studio.engine.messages import LivePrompt, LiveUpdate

_LOG = logging.getLogger(__name__)


@dataclass(kw_only=True)
class SessionDispatch:
    """All live sessions of one cluster. Belongs to its thread."""

    clock: Callable[[], float]
    _homeless: dict[int, tuple[ClusterSession, LivePrompt]] = field(default_factory=dict)
    """Sessions that have something to show and no replica, with what that is."""

    def ask(self, session: ClusterSession, prompt: LivePrompt, members: Sequence[ClusterMember]) -> None:
        """Have the session's replica show `prompt`; one that has none gets one."""
        home = next((member for member in members if session.number in member.sessions), None)
        if home is None:
            self._homeless[session.number] = (session, prompt)
        else:
            home.last_used = self.clock()
            home.link.put(session.order(prompt))

    def settle(self, members: Sequence[ClusterMember]) -> None:
        """Give a replica to every session that needs one."""
        there = [member for member in members if member.is_open]
        while there and self._homeless:
            session, prompt = self._homeless.pop(next(iter(self._homeless)))
            order = session.order(prompt)
            home = replica_for_session(there, session.outfit)
            home.sessions[session.number] = session
            home.last_used = self.clock()
            home.link.put(order)

    def follow(self, member: ClusterMember, number: int, update: LiveUpdate) -> None:
        """Hand on what a replica says in a session of its own."""
        session = member.sessions.get(number)
        if session is None or session.closed:
            return
        sent = attempt(session.on_update, session.follow(update))
        if isinstance(sent, Failure):
            _LOG.error("the callback of live session %d failed; it is closed", number, exc_info=sent.error)
            session.close()

    def end(self, session: ClusterSession, members: Sequence[ClusterMember]) -> None:
        """Let a session go that was closed."""
        self._homeless.pop(session.number, None)
        for member in members:
            if member.sessions.pop(session.number, None) is not None:
                member.link.put(CloseOrder(number=session.number))

    def lose(self, member: ClusterMember) -> None:
        """Take back the sessions of a replica that is gone or leaving; who waits for a frame goes on elsewhere."""
        for number, session in member.sessions.items():
            member.link.put(CloseOrder(number=number))
            session.move()
            if session.prompt is not None and not session.is_final:
                self._homeless[number] = (session, session.prompt)
        member.sessions.clear()
