from __future__ import annotations

import pytest
import torch
from tests.paint.memory.forecasts import THREE, TILED, TURNS, forecast_of

from allaprima.core.errors import OutOfMemoryError, WeightsError
from allaprima.paint.memory.plan import GIB, RESERVE, RESIDENT
from allaprima.paint.memory.shortage import is_shortage, shortage


def test_the_error_names_the_plan_that_would_fit() -> None:
    named = shortage(TILED, THREE, 3 * GIB)
    assert 'the plan "turns, tiled" would fit into 2.00 GiB, paint with --memory 2.00' in str(named)
    assert 'at least 2.00 GiB free for the plan "turns, tiled"' in str(shortage(TURNS, THREE, 3 * GIB))
    assert 'at least 2.00 GiB free for the plan "turns, tiled"' in str(shortage(RESIDENT, THREE, GIB))
    assert "paint a smaller picture" in str(shortage(RESIDENT, [], None))


def test_a_gpus_reserve_is_part_of_what_is_named() -> None:
    on_gpu = [forecast_of(RESIDENT, 4 * GIB, RESERVE), forecast_of(TILED, 3 * GIB, RESERVE)]
    assert "fit into 3.50 GiB, paint with --memory 3.50" in str(shortage(RESIDENT, on_gpu, 4 * GIB))
    assert "at least 3.50 GiB free" in str(shortage(RESIDENT, on_gpu, 3 * GIB))


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
