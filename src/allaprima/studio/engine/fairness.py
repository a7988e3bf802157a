"""Whose turn it is: fairness without a clock. Pure functions and counters, no torch.

Two questions are answered here. Of many waiting live sessions, who shares the next pass (`select_batch`)? And of the
kinds of work there are, which is next (`FairShare`)?
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
G = TypeVar("G", bound=Hashable)

COMFORTABLE = 8
"""Up to so many share a pass at once; of more, half wait for the next, so that the first half is served sooner."""


@dataclass(frozen=True, kw_only=True)
class Candidate(Generic[T, G]):
    """Somebody who waits for a pass."""

    who: T
    group: G
    """Only those of one group can share a pass."""
    since: float
    """When they began to wait; any unit."""
    passed_over: int = 0
    """Passes that others got meanwhile."""


def select_batch(waiting: Sequence[Candidate[T, G]], room: Callable[[G], int]) -> list[T]:
    """Return who shares the next pass, in order of seniority.

    Nobody of a group is passed over twice as long as `room` holds half of those who wait: who was passed over comes
    first, and half of all, at least, are taken. Groups come by their most senior member.

    Args:
        waiting: everybody; the order does not matter.
        room: how many of a group fit into one pass, at least 1.
    """
    if not waiting:
        return []
    ordered = sorted(waiting, key=lambda one: (-one.passed_over, one.since))
    group = ordered[0].group
    members = [one for one in ordered if one.group == group]
    senior = sum(one.passed_over > 0 for one in members)
    wanted = max(COMFORTABLE, (len(members) + 1) // 2, senior)
    return [one.who for one in members[: min(wanted, room(group))]]


@dataclass
class FairShare:
    """Kinds of work in order of preference, none of which starves.

    Args:
        patience: kind to the number of turns in a row it lets others go first; the order is the preference.
    """

    patience: dict[str, int]
    _overlooked: dict[str, int] = field(default_factory=dict)

    def pick(self, there: Collection[str]) -> str | None:
        """Return what is next of the kinds that are there, and remember who had to wait."""
        known = [kind for kind in self.patience if kind in there]
        if not known:
            self._overlooked.clear()
            return None
        overdue = [kind for kind in known if self._overlooked.get(kind, 0) >= self.patience[kind]]
        # Of several that are overdue, the one that has waited longest.
        chosen = max(overdue, key=lambda kind: self._overlooked.get(kind, 0)) if overdue else known[0]
        self._overlooked = {kind: self._overlooked.get(kind, 0) + 1 for kind in known if kind != chosen}
        return chosen
