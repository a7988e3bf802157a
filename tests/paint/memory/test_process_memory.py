from __future__ import annotations

import os
import subprocess
import sys
from mmap import PAGESIZE, mmap

import pytest

from allaprima.paint.memory.process_memory import peak_bytes, resident_bytes


def test_this_process_knows_its_size() -> None:
    # Pages of its own: a tensor may lie where another was that has been freed but not given back.
    with mmap(-1, 2**26) as pages:
        before = resident_bytes()
        pages[::PAGESIZE] = bytes(len(pages) // PAGESIZE)
        assert resident_bytes() - before > 2**25
        assert peak_bytes() >= resident_bytes() - 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="only there are page faults counted so")
def test_a_warm_heap_faults_no_more() -> None:
    code = """
import resource, sys, threading
import torch
from allaprima.paint.memory.process_memory import keep_heap_warm
if sys.argv[1] == "warm":
    keep_heap_warm()
def paint():
    for _ in range(3):
        [torch.ones(2**17) for _ in range(8)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        [torch.ones(2**17) for _ in range(8)]
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=paint)
thread.start()
thread.join()
"""
    # As a heap begins (man 3 mallopt): what a process frees while it starts, which differs by machine, may warm it.
    cold = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", code, how], env=cold, capture_output=True, text=True, check=True
            ).stdout
        )
        for how in ("cold", "warm")
    ]
    assert faults[1] < faults[0] / 10, faults
