"""The counts of several engines together."""

from __future__ import annotations

from collections.abc import Sequence

from allaprima.studio.engine.stats import Snapshot, Stats


def sum_snapshots(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Return what several engines counted in all; that none of them is there any more does not matter."""
    total = Stats()
    for snapshot in snapshots:
        for name, value in snapshot.counters.items():
            total.count(name, value)
        total.latency_counts = [
            sum(two) for two in zip(total.latency_counts, snapshot.latency_counts, strict=True)
        ]
        total.latency_sum_ms += snapshot.latency_sum_ms
    return Snapshot(
        counters=total.counters, sessions=sum(one.sessions for one in snapshots),
        jobs_waiting=sum(one.jobs_waiting for one in snapshots),
        jobs_running=sum(one.jobs_running for one in snapshots),
        latency_counts=tuple(total.latency_counts), latency_sum_ms=total.latency_sum_ms, replicas=len(snapshots),
    )  # fmt: skip
