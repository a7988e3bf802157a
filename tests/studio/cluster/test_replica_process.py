"""Replicas in processes of their own. Each loads torch, which takes seconds: few tests, and slow ones."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from tests.studio.cluster.replicas import (
    Asked,
    Typist,
    clustered,
    load_and_die,
    load_nothing,
    requests,
    slow_plan,
    wait_for,
)

from allaprima.core.errors import PaintError, WeightsError
from allaprima.studio.cluster.replica_process import ReplicaPlan
from allaprima.studio.engine.messages import Done

pytestmark = pytest.mark.slow


def test_one_of_two_is_killed_under_load_and_nothing_is_lost() -> None:
    with clustered(slow_plan(0.005), 2) as cluster:
        wait_for(lambda: len(cluster.pids) == 2)
        killed = cluster.pids[0]
        typists = [Typist.open(cluster) for _ in range(20)]
        for typist in typists:
            typist.see("a cat")
        asked = [Asked() for _ in range(200)]
        for one in asked:
            cluster.submit(requests(1), one.hear)
        wait_for(lambda: sum(bool(one.of(Done)) for one in asked) >= 50)
        os.kill(killed, signal.SIGKILL)
        started = time.monotonic()
        sequences = [typist.type("a dog") for typist in typists]
        for typist, sequence in zip(typists, sequences, strict=True):
            typist.frame(sequence)
        back_s = time.monotonic() - started
        assert all(isinstance(one.end(), Done) for one in asked)
        assert [len(one.of(Done)) for one in asked] == [1] * 200
        # Three seconds on a machine of one's own; this one may be busy with other tests.
        assert back_s < 30
        wait_for(
            lambda: len(cluster.pids) == 2 and killed not in cluster.pids
        )  # another has come in its place
        assert cluster.stats().replicas == 2


def test_a_replica_that_is_told_to_end_finishes_and_is_replaced_and_none_outlives_the_cluster() -> None:
    with clustered(slow_plan(0.01), 1) as cluster:
        wait_for(lambda: len(cluster.pids) == 1)
        first = cluster.pids[0]
        if hasattr(os, "sched_getaffinity"):
            assert os.sched_getaffinity(first) == os.sched_getaffinity(0)
        asked = Asked()
        cluster.submit(requests(5), asked.hear)
        wait_for(lambda: bool(asked.updates))
        os.kill(first, signal.SIGINT)  # Ctrl+C reaches every process; the cluster's own decides
        os.kill(first, signal.SIGTERM)
        done = asked.end()
        assert isinstance(done, Done)
        assert len(done.pictures) == 5
        wait_for(lambda: len(cluster.pids) == 1 and cluster.pids[0] != first)
        second = cluster.pids[0]
    assert not Path(f"/proc/{second}").exists()


def test_a_base_that_cannot_be_loaded_is_told_at_once() -> None:
    plan = ReplicaPlan(painter_factory=load_nothing, bases=("vignette",), device="cpu")
    with clustered(plan, 1) as cluster:
        loaded = threading.Event()
        cluster.when_loaded(loaded.set)
        assert loaded.wait(120)
        assert isinstance(cluster.load_error, WeightsError)
        assert "got vignette on cpu, which is damaged" in str(cluster.load_error)
        assert not cluster.alive


def test_replicas_that_die_again_and_again_end_the_studio() -> None:
    plan = ReplicaPlan(painter_factory=load_and_die, bases=("vignette",))
    with clustered(plan, 1) as cluster:
        loaded = threading.Event()
        cluster.when_loaded(loaded.set)
        assert loaded.wait(300)
        assert isinstance(cluster.load_error, PaintError)
