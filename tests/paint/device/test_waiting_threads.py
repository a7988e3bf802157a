from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from allaprima.paint.device.waiting_threads import CHOSEN_BY_USER, find_openmp

# Thread 0 of two comes late to each meeting; what the other does meanwhile shows in the process's time, whatever else
# the machine is doing.
_MEASURE = """
import ctypes, json, os, time
import torch
from allaprima.paint.device.waiting_threads import WaitingThreads, find_openmp

library = find_openmp()
waiting = WaitingThreads(library, len(os.sched_getaffinity(0)))

@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def meet(_):
    if library.omp_get_thread_num() == 0:
        time.sleep(0.01)

def seconds():
    library.GOMP_parallel(meet, None, 2, 0)
    began = time.process_time()
    for _ in range(20):
        library.GOMP_parallel(meet, None, 2, 0)
    return time.process_time() - began

found = [seconds()]
for _ in range(2):
    waiting.sleep(); waiting.sleep(); assert waiting.asleep
    found.append(seconds())
    waiting.spin(); waiting.spin(); assert not waiting.asleep
    found.append(seconds())
print(json.dumps(found))
"""


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in CHOSEN_BY_USER}


def test_threads_sleep_and_spin_as_they_are_told() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE], capture_output=True, text=True, env=environment(), check=True
    )
    spun, slept, spun_again, slept_again, spun_last = json.loads(done.stdout)
    assert max(slept, slept_again) < 0.5 * min(spun, spun_again, spun_last)


def test_a_users_own_policy_stays() -> None:
    for variable in CHOSEN_BY_USER:
        assert find_openmp(environment={variable: "1"}) is None


def test_there_is_none_where_the_library_is_another(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 00000000 08:01 12 /usr/lib/libiomp5.so\n", encoding="ascii")
    assert find_openmp(maps, {}) is None
    assert find_openmp(tmp_path / "absent", {}) is None
