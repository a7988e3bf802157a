from __future__ import annotations

import pytest
from tests.studio.engine.watched import Bench

from allaprima.core.request import GenerationRequest
from allaprima.studio.engine.stats import LATENCY_BOUNDS_MS, Stats


def test_the_numbers_add_up() -> None:
    bench = Bench()
    client = bench.client()
    for text in ("cat", "dog", "cat"):
        client.ask(text, steps=4)
        bench.run()
    bench.submit(GenerationRequest(prompt="cat", steps=1, guidance=1.0))
    bench.run()
    stats = bench.stats
    assert stats.counters["prompts"] == 3
    assert stats.counters["frames"] == 9
    assert stats.counters["jobs_done"] == stats.counters["pictures"] == 1
    assert stats.counters["texts_encoded"] == 2  # live frames and jobs share what is encoded
    assert stats.counters["texts_known"] == 2
    assert sum(stats.latency_counts) == 3
    assert (stats.sessions, stats.jobs_waiting, stats.jobs_running) == (1, 0, 0)


def test_a_latency_falls_into_the_first_bin_that_holds_it() -> None:
    stats = Stats()
    for milliseconds in (0.0, LATENCY_BOUNDS_MS[0], 21.0, 1e6):
        stats.time_frame(milliseconds)
    assert stats.latency_counts[0] == 2
    assert stats.latency_counts[LATENCY_BOUNDS_MS.index(33.0)] == 1
    assert stats.latency_counts[-1] == 1


def test_what_is_no_counter_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Stats().count("cats")
