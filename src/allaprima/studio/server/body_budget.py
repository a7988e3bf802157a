"""A bound on the bodies of all requests together: one may be large, and many may be under way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from allaprima.studio.server.errors import ProblemError


@dataclass(eq=False)
class BodyShare:
    """What one request has of the budget."""

    bytes: int = 0
    """That have come."""
    coming: asyncio.Timeout | None = None
    """Ends the wait for the rest; None when all of it has come."""
    gave_way: bool = False
    """Whether it was ended for the sake of others."""


@dataclass
class BodyBudget:
    """Bytes for the bodies of all requests that are under way; for the event loop.

    Where there is too much, what has been coming longest gives way: who sends at a usual speed is not even noticed,
    and who holds back loses to those who come.
    """

    most: int
    """Of all bodies together."""
    small: int
    """A body of so many bytes is always taken."""
    _shares: list[BodyShare] = field(default_factory=list, repr=False)

    @contextmanager
    def hold(self) -> Iterator[BodyShare]:
        """Hold a share while a request is under way."""
        share = BodyShare()
        self._shares.append(share)
        try:
            yield share
        finally:
            self._shares.remove(share)

    def take(self, share: BodyShare, num_bytes: int) -> None:
        """Take more bytes for `share`; ProblemError if whole bodies alone fill the budget."""
        share.bytes += num_bytes
        while sum(one.bytes for one in self._shares) > self.most:
            oldest = next((one for one in self._shares if one.coming is not None and one.bytes), None)
            if oldest is None or (oldest is share and len(self._shares) == 1):
                break
            oldest.bytes, oldest.gave_way = 0, True
            assert oldest.coming is not None
            oldest.coming.reschedule(asyncio.get_running_loop().time())
            oldest.coming = None
            if oldest is share:
                return
        else:
            return
        if share.bytes > self.small:
            raise too_many_bodies()


def too_many_bodies() -> ProblemError:
    """Return the answer to a request whose body there is no room for now."""
    message = "too many large requests came at once; send this one again a little later"
    return ProblemError(503, message, code="busy", headers={"retry-after": "2"})
