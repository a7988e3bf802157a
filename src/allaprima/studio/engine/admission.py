"""What an engine refuses before anything is queued, in the caller's thread. No torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from allaprima.core.errors import RequestError
from allaprima.core.request import GenerationRequest
from allaprima.core.retouch import Repaint
from allaprima.studio.engine.messages import RetouchOrder


def check_base(base: str, bases: Collection[str]) -> None:
    """Refuse a base that is not among `bases`."""
    if base not in bases:
        raise RequestError(f"got base {base[:80]!r}; expected {' or '.join(bases)}")


def check_job(requests: Sequence[GenerationRequest], bases: Collection[str], most: int) -> None:
    """Refuse a job of no pictures, of more than `most`, or with a base that is not among `bases`."""
    if not 1 <= len(requests) <= most:
        raise RequestError(f"got a job of {len(requests)} pictures; expected 1 to {most}")
    for request in requests:
        check_base(request.base, bases)


def check_retouch(order: RetouchOrder, bases: Collection[str]) -> None:
    """Refuse a picture with nothing to do, or to be painted over with a base that is not among `bases`."""
    if not order.operations:
        raise RequestError("got a picture and nothing to do; expected an operation, such as upscale")
    if order.picture.request is not None and any(isinstance(one, Repaint) for one in order.operations):
        check_base(order.picture.request.base, bases)
