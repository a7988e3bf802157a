"""Which replica a job or a session goes to: pure rules over what is known of the replicas."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Protocol, TypeVar

from allaprima.core.request import GenerationRequest, LoraUse

CHANGE = 2
"""What it weighs, in sessions, that a replica would have to change LoRAs or bases between its sessions' frames."""


class Loaded(Protocol):
    """A replica, as far as its place in the order matters."""

    @property
    def num_sessions(self) -> int:
        """Live sessions it paints for."""

    @property
    def is_busy(self) -> bool:
        """Whether it has a job."""

    @property
    def worn(self) -> Collection[Hashable]:
        """The outfits of its last job and of its sessions."""

    @property
    def last_used(self) -> float:
        """When it last got something to do."""


R = TypeVar("R", bound=Loaded)


def outfit_of(base: str, loras: Collection[LoraUse]) -> Hashable:
    """Return what a replica has to load and to hang up before it paints with these; the weights do not matter."""
    return (base, frozenset(use.name for use in loras))


def outfit_of_request(request: GenerationRequest) -> Hashable:
    """Return that of a request."""
    return outfit_of(request.base, request.loras)


def replica_for_job(free: Collection[R], outfit: Hashable) -> R:
    """Return who of `free`, at least one, gets a job.

    That is who wears its outfit; of several, who has the fewest sessions; of several, who has rested longest.
    """
    return min(free, key=lambda one: (outfit not in one.worn, one.num_sessions, one.last_used))


def replica_for_session(replicas: Collection[R], outfit: Hashable) -> R:
    """Return who of `replicas`, at least one, gets a session for good.

    That is who has the fewest sessions, unless it wears something else; of several, who has no job or rested longest.
    """

    def burden(one: R) -> int:
        return one.num_sessions + (CHANGE if one.worn and outfit not in one.worn else 0)

    return min(replicas, key=lambda one: (burden(one), one.is_busy, one.last_used))
