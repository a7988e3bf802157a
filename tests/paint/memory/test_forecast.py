from __future__ import annotations

import os
import subprocess
import sys
from mmap import PAGESIZE, mmap
from pathlib import Path

import pytest
import torch
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import OutOfMemoryError, WeightsError
from allaprima.paint.bases.loading import load_base
from allaprima.paint.bases.vignette.base import load_vignette
from allaprima.paint.bases.vignette.half_linear import HalfLinear
from allaprima.paint.memory.forecast import forecast
from allaprima.paint.memory.plan import (
    GIB,
    RESERVE,
    RESIDENT,
    MemoryForecast,
    MemoryPlan,
    choose_plan,
    find_thriftier,
    first_plan,
    gib,
    plans_for,
)
from allaprima.paint.memory.planned_base import PlannedBase
from allaprima.paint.memory.process_memory import peak_bytes, resident_bytes
from allaprima.paint.memory.rehearsal import Rehearsal
from allaprima.paint.memory.shortage import is_shortage, shortage

CPU = torch.device("cpu")
TILED, TURNS = MemoryPlan(tiled=True), MemoryPlan(residency="turns", tiled=True)


def told(plan: MemoryPlan, peak: int, reserve: int = 0) -> MemoryForecast:
    moments = {"load": peak // 2, "decode": peak}
    return MemoryForecast(plan=plan, bytes_by_moment=moments, resident={}, visiting={}, reserve=reserve)


THREE = [told(RESIDENT, 4 * GIB), told(TILED, 3 * GIB), told(TURNS, 2 * GIB)]


def test_plans_go_from_quick_to_thrifty_and_end() -> None:
    assert [str(plan) for plan in plans_for("cpu")] == ["resident", "resident, tiled", "turns, tiled"]
    assert str(plans_for("cuda")[-1]) == "sequential, tiled"
    assert find_thriftier(RESIDENT, "cpu") == TILED
    assert find_thriftier(TURNS, "cpu") is None
    assert find_thriftier(TILED, "cpu", reloads=False) is None
    assert find_thriftier(TURNS, "cuda") == MemoryPlan(residency="streamed", tiled=True)


def test_the_quickest_that_fits_is_chosen() -> None:
    assert choose_plan(THREE, 4 * GIB, "cpu").plan == RESIDENT
    assert choose_plan(THREE, 4 * GIB - 1, "cpu").plan == TILED
    with pytest.raises(
        OutOfMemoryError, match=r"got 1\.00 GiB of memory for cpu; expected at least 2\.00 GiB"
    ):
        choose_plan(THREE, GIB, "cpu")


def test_what_a_gpu_keeps_for_itself_is_part_of_what_is_asked_for() -> None:
    on_gpu = [told(RESIDENT, 4 * GIB, RESERVE), told(TILED, 3 * GIB, RESERVE)]
    assert choose_plan(on_gpu, 4 * GIB, "cuda").plan == TILED
    with pytest.raises(
        OutOfMemoryError, match=r"got 3\.00 GiB of memory for cuda; expected at least 3\.50 GiB"
    ):
        choose_plan(on_gpu, 3 * GIB, "cuda")
    assert "fit into 3.50 GiB, paint with --memory 3.50" in str(shortage(RESIDENT, on_gpu, 4 * GIB))
    assert "at least 3.50 GiB free" in str(shortage(RESIDENT, on_gpu, 3 * GIB))


def test_without_a_limit_room_is_looked_at_where_weights_could_fill_it() -> None:
    def never() -> list[MemoryForecast]:
        raise AssertionError("nothing was to be foretold")

    assert first_plan(GIB, 3 * GIB, never) == RESIDENT
    assert first_plan(GIB, None, never) == RESIDENT
    assert first_plan(2 * GIB, 3 * GIB, lambda: THREE) == TILED
    assert first_plan(2 * GIB, GIB, lambda: THREE) == TURNS


def test_sizes_are_rounded_up_so_that_allowing_them_is_enough() -> None:
    assert gib(2 * GIB) == "2.00 GiB"
    assert gib(2 * GIB + 1) == "2.01 GiB"


def test_the_error_names_the_plan_that_would_fit() -> None:
    named = shortage(TILED, THREE, 3 * GIB)
    assert 'the plan "turns, tiled" would fit into 2.00 GiB, paint with --memory 2.00' in str(named)
    assert 'at least 2.00 GiB free for the plan "turns, tiled"' in str(shortage(TURNS, THREE, 3 * GIB))
    assert 'at least 2.00 GiB free for the plan "turns, tiled"' in str(shortage(RESIDENT, THREE, GIB))
    assert "paint a smaller picture" in str(shortage(RESIDENT, [], None))


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("could not create a primitive"), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (OutOfMemoryError("memory ran out"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_a_shortage_is_known_by_what_it_says(error: Exception, short: bool) -> None:
    assert is_shortage(error) is short


def test_a_file_that_there_was_no_room_for_is_a_shortage() -> None:
    error = WeightsError("cannot read it")
    assert not is_shortage(error)
    error.__cause__ = OSError(12, "Cannot allocate memory")
    assert is_shortage(error)


def test_a_rehearsal_counts_what_is_alive_at_once() -> None:
    layer = torch.nn.Linear(64, 64, device="meta")
    with Rehearsal([layer]) as needed, torch.no_grad():
        given = needed.hold(torch.empty(256, 64, device="meta"))
        first = layer(given)
        second = first * 2
        del first
        _ = second + 1
    assert needed.peak_bytes == 3 * 256 * 64 * 4


def test_attention_is_rehearsed_without_its_table() -> None:
    with Rehearsal() as needed:
        query = torch.empty(1, 1, 4096, 8, device="meta")
        torch.nn.functional.scaled_dot_product_attention(query, query, query)
    assert needed.peak_bytes == 2 * 4096 * 8 * 4


def test_this_process_knows_its_size() -> None:
    # Pages of its own: a tensor may lie where another was that has been freed but not given back.
    with mmap(-1, 2**26) as pages:
        before = resident_bytes()
        pages[::PAGESIZE] = bytes(len(pages) // PAGESIZE)
        assert resident_bytes() - before > 2**25
        assert peak_bytes() >= resident_bytes() - 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sdxl(tmp_path_factory.mktemp("bases") / "sdxl")


def test_a_larger_picture_is_painted_under_a_thriftier_plan(folder: Path) -> None:
    def foresee(width: int | None, height: int | None, held: int = 0) -> list[MemoryForecast]:
        return forecast(str(folder), width=width, height=height, device=CPU, dtype=torch.float32, held=held)

    def keeping_to(limit: int) -> PlannedBase:
        base = load_base(str(folder), device=CPU)
        return PlannedBase(base, device=CPU, forecast=foresee, limit=limit, planned=64 * 64)

    whole, tiled, _ = (one.peak_bytes for one in foresee(768, 768))
    assert tiled < whole
    base = keeping_to((whole + tiled) // 2)
    moves: list[MemoryPlan] = []
    base.fit_memory(64, 64, lambda: moves.append(base.plan))
    assert (base.plan, moves) == (RESIDENT, [])
    base.fit_memory(768, 768, lambda: moves.append(base.plan))
    assert (base.plan, moves) == (TILED, [RESIDENT])
    small = keeping_to(2**20)
    with pytest.raises(OutOfMemoryError, match="expected at least"):
        small.fit_memory(128, 128, list)
    assert small.plan == RESIDENT


def test_weights_that_are_there_are_not_counted_again(folder: Path) -> None:
    def peak(held: int) -> int:
        return forecast(
            str(folder), width=64, height=64, device=CPU, dtype=torch.float32, held=held
        )[0].peak_bytes  # fmt: skip

    assert peak(0) - peak(64 * 2**20) == pytest.approx(64 * 2**20, abs=16 * 2**20)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_vignette_lays_out_anew_is_foretold(tmp_path: Path, dtype: torch.dtype) -> None:
    base = load_vignette(write_tiny_vignette(tmp_path), dtype=dtype)
    told = base.prepacked_bytes(mapped=False)
    with torch.inference_mode():
        base.encode_text(["cat"])
        base.decode(base.noise([0], 256, 256))
    halved = [layer for layer in base.text.modules() if isinstance(layer, HalfLinear)]
    assert told["text"] == sum(2 * layer.weight.numel() for layer in halved)
    if torch.backends.quantized.engine in ("x86", "fbgemm"):
        assert all(layer._packed for layer in halved)
    assert (told["decode"] > 0) == bool(base._decoder._stages) == (dtype == torch.float32)


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
