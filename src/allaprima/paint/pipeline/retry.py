"""Painting again under a thriftier memory plan when memory has run out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from allaprima.core.events import Event
from allaprima.core.request import GenerationRequest
from allaprima.paint.contract.base import Base
from allaprima.paint.memory.planned_base import release
from allaprima.paint.memory.shortage import MAY_TELL, is_shortage


def with_retry(
    paint: Callable[[], Iterator[Event]],
    base: Base,
    request: GenerationRequest,
    before_move: Callable[[], object],
) -> Iterator[Event]:
    """Yield the events of `paint`; if memory runs out, paint once more under the next thriftier plan.

    A picture larger than planned for is begun under a plan that fits it.

    Args:
        paint: starts the pass from the beginning.
        base: the base that `paint` uses.
        request: one of those that are painted.
        before_move: called before networks move.

    Raises:
        OutOfMemoryError: there is no thriftier plan, or memory ran out under that too; or the limit allows no plan.
    """
    base.fit_memory(request.width, request.height, before_move)
    if (yield from _finishes(paint)):
        return
    if not base.use_next_plan(before_move) or not (yield from _finishes(paint)):
        raise base.shortage(request.width, request.height)


def _finishes(paint: Callable[[], Iterator[Event]]) -> Generator[Event, None, bool]:
    """Yield the events of `paint`, and return whether it finished; if memory ran out, give back what it took."""
    try:
        yield from paint()
    except MAY_TELL as error:
        if not is_shortage(error):
            raise
    else:
        return True
    # Not inside the handler, where the error's traceback still holds tensors.
    release()
    return False
