from __future__ import annotations

from allaprima.studio.cluster.totals import sum_snapshots
from allaprima.studio.engine.stats import COUNTERS, LATENCY_BOUNDS_MS, Snapshot, Stats


def snapshot(value: int) -> Snapshot:
    return Snapshot(
        counters=dict.fromkeys(COUNTERS, value), sessions=value, jobs_waiting=value, jobs_running=value,
        latency_counts=(value,) * (len(LATENCY_BOUNDS_MS) + 1), latency_sum_ms=float(value),
    )  # fmt: skip


def test_counts_are_added_up() -> None:
    total = sum_snapshots([snapshot(1), snapshot(2)])
    assert total == Snapshot(**{**vars(snapshot(3)), "replicas": 2})


def test_of_nobody_all_counts_are_zero() -> None:
    assert sum_snapshots([]).counters == Stats().counters
