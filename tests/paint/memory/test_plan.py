from __future__ import annotations

import pytest
from tests.paint.memory.forecasts import THREE, TILED, TURNS, forecast_of

from allaprima.core.errors import OutOfMemoryError
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


def test_a_gpus_reserve_is_part_of_what_is_needed() -> None:
    on_gpu = [forecast_of(RESIDENT, 4 * GIB, RESERVE), forecast_of(TILED, 3 * GIB, RESERVE)]
    assert choose_plan(on_gpu, 4 * GIB, "cuda").plan == TILED
    with pytest.raises(
        OutOfMemoryError, match=r"got 3\.00 GiB of memory for cuda; expected at least 3\.50 GiB"
    ):
        choose_plan(on_gpu, 3 * GIB, "cuda")


def test_without_a_limit_a_forecast_is_made_where_weights_could_fill_the_memory() -> None:
    def never() -> list[MemoryForecast]:
        raise AssertionError("no forecast was needed")

    assert first_plan(GIB, 3 * GIB, never) == RESIDENT
    assert first_plan(GIB, None, never) == RESIDENT
    assert first_plan(2 * GIB, 3 * GIB, lambda: THREE) == TILED
    assert first_plan(2 * GIB, GIB, lambda: THREE) == TURNS


def test_sizes_are_rounded_up_so_that_allowing_them_is_enough() -> None:
    assert gib(2 * GIB) == "2.00 GiB"
    assert gib(2 * GIB + 1) == "2.01 GiB"
