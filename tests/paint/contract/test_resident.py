from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.tiny import SteadyBase

from allaprima.core.errors import OutOfMemoryError
from allaprima.core.events import Event
from allaprima.core.request import GenerationRequest
from allaprima.paint.pipeline.retry import with_retry


def test_a_base_without_a_plan_is_not_tried_twice() -> None:
    tries: list[int] = []

    def paint() -> Iterator[Event]:
        tries.append(1)
        yield from ()
        raise MemoryError

    def never() -> None:
        raise AssertionError("no network was to move")

    request = GenerationRequest(prompt="a cat", width=128, height=64, steps=1, guidance=1.0)
    with pytest.raises(OutOfMemoryError, match=r"^memory ran out; expected room for it"):
        list(with_retry(paint, SteadyBase(), request, never))
    assert tries == [1]
