from __future__ import annotations

from allaprima.studio.cluster.slots import LONGEST_DELAY_S, ReplicaSlot


def test_a_replica_that_painted_is_replaced_at_once() -> None:
    slot = ReplicaSlot(number=0, cores=frozenset())
    slot.note_death(loaded=True)
    slot.free(now=10.0)
    assert slot.due_at == 10.0


def test_one_that_dies_while_it_loads_is_replaced_later_and_later() -> None:
    slot = ReplicaSlot(number=0, cores=frozenset())
    delays = []
    for _ in range(8):
        slot.note_death(loaded=False)
        slot.free(now=0.0)
        delays.append(slot.due_at)
    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_DELAY_S, LONGEST_DELAY_S, LONGEST_DELAY_S]
    slot.note_death(loaded=True)
    assert slot.deaths == 0
