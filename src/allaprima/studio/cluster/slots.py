"""The replicas of this machine: started, and started anew when they are gone; later and later if they keep dying."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from allaprima.studio.cluster.core_shares import share_cores
from allaprima.studio.cluster.replica_process import ReplicaPlan, ReplicaProcess

LONGEST_DELAY_S = 30.0
"""Between two starts of a replica that dies while it loads."""


@dataclass(eq=False, kw_only=True)
class ReplicaSlot:
    """The place of one replica."""

    number: int
    """From 0."""
    cores: frozenset[int]
    """Its share; none: all of them."""
    deaths: int = 0
    """How many replicas have died here, one after the other, before they had loaded anything."""
    due_at: float | None = 0.0
    """When a replica is to be started; None while there is one."""

    def note_death(self, *, loaded: bool) -> None:
        """Remember that its replica is gone, `loaded` or not."""
        self.deaths = 0 if loaded else self.deaths + 1

    def free(self, now: float) -> None:
        """Have the next replica started when that is due."""
        delay = min(LONGEST_DELAY_S, 2.0 ** (self.deaths - 1)) if self.deaths else 0.0
        self.due_at = now + delay


@dataclass(kw_only=True)
class Slots:
    """All replicas that a cluster starts itself."""

    plan: ReplicaPlan
    count: int
    """How many."""
    slots: list[ReplicaSlot] = field(init=False)

    def __post_init__(self) -> None:
        shares = share_cores(self.count) if self.count else []
        self.slots = [ReplicaSlot(number=number, cores=cores) for number, cores in enumerate(shares)]

    def due(self, now: float) -> list[ReplicaSlot]:
        """Return the slots in which a replica is to be started now."""
        return [slot for slot in self.slots if slot.due_at is not None and slot.due_at <= now]

    def next_due(self) -> float | None:
        """Return when the next replica is to be started, None if none is."""
        return min((slot.due_at for slot in self.slots if slot.due_at is not None), default=None)

    def start(self, slot: ReplicaSlot) -> ReplicaProcess:
        """Start a replica in `slot`."""
        slot.due_at = None
        return ReplicaProcess.start(self.plan, slot.number, slot.cores)

    def bury(self, process: ReplicaProcess, when_gone: Callable[[], None]) -> None:
        """Return at once; call `when_gone` once the process has ended, killed if need be, and its memory is free."""

        def wait() -> None:
            process.stop()
            when_gone()

        threading.Thread(target=wait, name="replica's end", daemon=True).start()
