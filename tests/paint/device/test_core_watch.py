from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.paint.device.test_waiting_threads import environment

from allaprima.paint.device.core_watch import CALM_INTERVALS, OURS, SHARED, CoreWatch, busy_seconds
from allaprima.paint.device.waiting_threads import WaitingThreads, find_openmp

_BESIDE_ANOTHER = """
import subprocess, sys, time
import torch
from allaprima.paint.device.core_watch import watch_cores

watch = watch_cores()
assert watch is watch_cores()
beside = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
try:
    end = time.monotonic() + 60
    while not watch._waiting.asleep and time.monotonic() < end:
        time.sleep(0.02)
finally:
    for one in beside:
        one.kill()
print(watch._waiting.asleep)
watch.stop()
print(watch._waiting.asleep)
"""


@pytest.fixture
def waiting() -> WaitingThreads:
    library = find_openmp(environment={})
    assert library is not None
    return WaitingThreads(library, 2)


def is_asleep(waiting: WaitingThreads) -> bool:
    return waiting.asleep


def test_it_sleeps_at_once_and_spins_when_it_has_been_calm(waiting: WaitingThreads) -> None:
    watch = CoreWatch(waiting, frozenset({0, 1}))
    watch.note(SHARED + 0.1)
    assert is_asleep(waiting)
    for _ in range(CALM_INTERVALS - 1):
        watch.note(OURS - 0.1)
    watch.note((OURS + SHARED) / 2)  # neither shared nor calm
    for _ in range(CALM_INTERVALS - 1):
        watch.note(0.0)
    assert is_asleep(waiting)
    watch.note(0.0)
    assert not is_asleep(waiting)
    watch.note((OURS + SHARED) / 2)
    assert not is_asleep(waiting)


def test_it_sees_another_program() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BESIDE_ANOTHER], capture_output=True, text=True, env=environment(), check=True
    )
    assert done.stdout.split() == ["True", "False"]


def test_only_the_processes_own_cores_count(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    lines = (
        "cpu  9 9 9 9 9 9 9 9 9 9", "cpu0 100 20 30 4000 50 6 7 800 9 10", "cpu1 200 0 0 9 0 0 0 0 0 0",
        "cpu10 9999 0 0 0 0 0 0 0 0 0", "intr 5", "ctxt 7",
    )  # fmt: skip
    stat.write_text("\n".join(lines), encoding="ascii")
    assert busy_seconds(frozenset({0}), stat) == pytest.approx(1.63)
    assert busy_seconds(frozenset({0, 1}), stat) == pytest.approx(3.63)


def test_a_system_that_does_not_say_is_an_error_to_who_asks(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="stat"):
        busy_seconds(frozenset({0}), tmp_path / "stat")
