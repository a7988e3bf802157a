from __future__ import annotations

import os
import threading

import pytest
import torch

from allaprima.studio.cluster.core_shares import keep_to, share_cores


@pytest.mark.parametrize(
    ("cores", "count", "shares"),
    [
        ({0, 1}, 2, [{0}, {1}]),
        ({0, 1}, 1, [{0, 1}]),
        ({3}, 2, [{3}, {3}]),
        ({0, 1, 2, 5, 6}, 2, [{0, 1}, {2, 5, 6}]),
        ({0, 1}, 3, [{0}, {1}, {0}]),
    ],
)
def test_every_replica_gets_its_share(
    cores: set[int], count: int, shares: list[set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores, raising=False)
    assert share_cores(count) == [frozenset(share) for share in shares]


def test_where_processes_cannot_be_pinned_all_use_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert share_cores(2) == [frozenset(), frozenset()]


def test_a_thread_keeps_to_its_cores_and_so_do_those_it_starts() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system pins no processes")
    before, threads = os.sched_getaffinity(0), torch.get_num_threads()
    seen: list[set[int]] = []
    one = frozenset({min(before)})

    def pinned() -> None:
        keep_to(frozenset())
        seen.append(os.sched_getaffinity(0))
        keep_to(one)
        later = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
        later.start()
        later.join()

    try:
        thread = threading.Thread(target=pinned)
        thread.start()
        thread.join()
        assert seen == [before, set(one)]
        assert os.sched_getaffinity(0) == before
    finally:
        torch.set_num_threads(threads)
