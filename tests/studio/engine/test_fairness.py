from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from allaprima.studio.engine.fairness import COMFORTABLE, Candidate, FairShare, select_batch


def waiting(count: int, group: str = "a", passed_over: int = 0) -> list[Candidate[int, str]]:
    return [
        Candidate(who=number, group=group, since=float(number), passed_over=passed_over)
        for number in range(count)
    ]


def test_few_share_a_pass_and_many_share_two() -> None:
    assert select_batch([], lambda _: 99) == []
    assert select_batch(waiting(COMFORTABLE), lambda _: 99) == list(range(COMFORTABLE))
    assert select_batch(waiting(50), lambda _: 99) == list(range(25))
    assert select_batch(waiting(51), lambda _: 99) == list(range(26))


def test_whoever_was_passed_over_comes_first() -> None:
    seniors = [Candidate(who=100 + n, group="a", since=99.0, passed_over=1) for n in range(30)]
    chosen = select_batch([*waiting(30), *seniors], lambda _: 99)
    assert chosen[:30] == [100 + n for n in range(30)]


def test_one_group_at_a_time_the_most_senior_first_and_no_more_than_fit() -> None:
    mixed = [*waiting(3), Candidate(who=9, group="b", since=5.0, passed_over=1)]
    assert select_batch(mixed, lambda _: 99) == [9]
    assert select_batch(waiting(3), lambda _: 2) == [0, 1]
    assert select_batch(waiting(3), lambda _: 1) == [0]


@given(st.lists(st.integers(min_value=0, max_value=20), min_size=1, max_size=15))
def test_nobody_waits_more_than_two_passes(arrivals: list[int]) -> None:
    """On a logical clock of passes, with any numbers of newcomers in between, as long as two passes hold all."""
    queue: dict[int, tuple[float, int]] = {}
    number = 0
    waits: Counter[int] = Counter()
    for moment, newcomers in enumerate([*arrivals, 0, 0]):
        for _ in range(newcomers):
            queue[number] = (float(moment), 0)
            number += 1
        line = [
            Candidate(who=who, group="a", since=since, passed_over=over)
            for who, (since, over) in queue.items()
        ]
        chosen = select_batch(line, lambda _: 64)
        for who in chosen:
            waits[queue.pop(who)[1]] += 1
        queue = {who: (since, over + 1) for who, (since, over) in queue.items()}
        assert all(over <= 1 for _, over in queue.values())
    assert not queue
    assert set(waits) <= {0, 1}  # painted in the first pass or in the second


def test_preferred_work_goes_first_and_none_starves() -> None:
    share = FairShare({"live": 1, "finer": 4, "jobs": 4})
    picked = [share.pick(["jobs", "finer", "live"]) for _ in range(60)]
    assert picked[:4] == ["live"] * 4
    counts = Counter(picked)
    assert counts["live"] > counts["finer"] > 5
    assert counts["jobs"] > 5
    gaps = [at for at, kind in enumerate(picked) if kind == "jobs"]
    assert max(after - before for before, after in itertools.pairwise(gaps)) <= 7


def test_with_nothing_else_there_each_kind_has_the_device() -> None:
    share = FairShare({"live": 1, "jobs": 4})
    assert [share.pick(["jobs"]) for _ in range(3)] == ["jobs"] * 3
    assert share.pick([]) is None
    assert share.pick(["live", "jobs"]) == "live"
