"""Painting once more, more thriftily, when memory has run out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from allaprima.core.events import Event
from allaprima.core.request import GenerationRequest
from allaprima.paint.contract.base import Base
from allaprima.paint.memory.planned_base import PlannedBase, release
from allaprima.paint.memory.shortage import MAY_TELL, is_shortage, shortage


def with_retry(
    paint: Callable[[], Iterator[Event]],
    base: Base,
    request: GenerationRequest,
    before: Callable[[], object],
) -> Iterator[Event]:
    """Yield what `paint` yields; if memory runs out, all of it again under the next thriftier plan, once.

    A picture larger than was planned for is begun under a plan that is good for it.

    Args:
        paint: begins a pass anew.
        base: what it paints with; only a `PlannedBase` one can be thriftier.
        request: one of those that are painted.
        before: to be called before networks move.

    Raises:
        OutOfMemoryError: there is no thriftier plan, or memory ran out under that too; or the limit allows no plan.
    """
    if isinstance(base, PlannedBase) and (plan := base.plan_for(request.width, request.height)) != base.plan:
        before()
        base.keep_to(plan)
    if (yield from _ends(paint)):
        return
    if not isinstance(base, PlannedBase):
        raise shortage(None, [], None)
    before()
    if not base.save() or not (yield from _ends(paint)):
        raise base.shortage(request.width, request.height)


def _ends(paint: Callable[[], Iterator[Event]]) -> Generator[Event, None, bool]:
    """Yield what `paint` yields, and return whether it came to its end; if not, memory ran out and is given back."""
    try:
        yield from paint()
    except MAY_TELL as error:
        if not is_shortage(error):
            raise
    else:
        return True
    # Here, not in the handler: there the error would still hold the tensors of the frames it came through.
    release()
    return False
