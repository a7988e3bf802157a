from __future__ import annotations

import pytest

from allaprima.core.errors import BusyError
from allaprima.core.request import GenerationRequest
from allaprima.studio.engine.job_queue import Job, JobQueue

CAT = GenerationRequest(prompt="a cat")


def job(number: int, owner: str, pictures: int = 1) -> Job:
    return Job(
        number,
        (CAT,) * pictures,
        lambda _: None,
        owner=owner,
        previews=False,
        submitted_at=0.0,
        ring=lambda: None,
    )


def test_owners_take_turns() -> None:
    queue = JobQueue(99)
    for number, owner in enumerate("aaaab"):
        queue.put(job(number, owner))
    assert [one.number for one in queue] == [0, 4, 1, 2, 3]


def test_many_pictures_count_as_many() -> None:
    queue = JobQueue(99)
    queue.put(job(0, "a", pictures=10))
    queue.put(job(1, "a"))
    for number in range(2, 6):
        queue.put(job(number, "b"))
    assert [one.number for one in queue] == [0, 2, 3, 4, 5, 1]


def test_what_is_over_is_not_held_against_an_owner() -> None:
    queue = JobQueue(99)
    first = job(0, "a", pictures=50)
    queue.put(first)
    first.cancel()
    assert queue.remove_cancelled() == [first]
    queue.put(job(1, "a"))
    queue.put(job(2, "b"))
    taken = [queue.take() for _ in range(3)]
    assert [one.number if one else None for one in taken] == [1, 2, None]
    assert len(queue._owed) <= 2


def test_a_full_queue_says_so() -> None:
    queue = JobQueue(1)
    queue.put(job(0, "a"))
    with pytest.raises(BusyError, match="1 jobs wait"):
        queue.put(job(1, "b"))
    assert len(queue) == 1
