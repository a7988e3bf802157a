"""How often and how much: token buckets per client, a pace for all, and counts of what is open at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from allaprima.core.errors import BusyError
from allaprima.core.lru import LruCache

MAX_CLIENTS = 10_000


@dataclass
class RateLimiter:
    """A limit of `rate` things a second for each client, after a burst of `burst`; for one thread."""

    rate: float
    """Per second."""
    burst: float
    """At once, after a rest."""
    clock: Callable[[], float] = time.monotonic
    """Seconds, never going back."""
    _buckets: LruCache[str, tuple[float, float]] = field(
        default_factory=lambda: LruCache(max_count=MAX_CLIENTS), repr=False
    )
    """The level of each client's bucket, and when it was so high."""

    def wait_s(self, client: str, cost: float = 1.0) -> float:
        """Take `cost` from the client's bucket and return 0, or take nothing and return the seconds to wait."""
        now = self.clock()
        level, at = self._buckets.find(client) or (self.burst, now)
        level = min(self.burst, level + (now - at) * self.rate)
        allowed = level >= cost
        self._buckets.put(client, (level - cost if allowed else level, now))
        return 0.0 if allowed else (cost - level) / self.rate


@dataclass
class Pace:
    """A pace of `rate` units a second, after a burst of `burst`, for all who take together; for one thread."""

    rate: float
    """Per second."""
    burst: float
    """At once, after a rest."""
    clock: Callable[[], float] = time.monotonic
    """Seconds, never going back."""
    _due: float = field(default=-math.inf, repr=False)

    def take(self, amount: float) -> float:
        """Take `amount` and return the seconds to wait before more is taken; who comes later waits longer."""
        now = self.clock()
        self._due = max(self._due, now - self.burst / self.rate) + amount / self.rate
        return max(0.0, self._due - now)


@dataclass
class OpenCount:
    """A count of what each client has open, up to `most`."""

    most: int
    """Per client."""
    what: str
    """What is counted, in the plural, for the refusal."""
    _open: dict[str, int] = field(default_factory=dict, repr=False)

    @contextmanager
    def hold(self, client: str) -> Iterator[None]:
        """Hold one place for the client while the block runs; BusyError if it has none left."""
        if self._open.get(client, 0) >= self.most:
            raise BusyError(f"{self.most} {self.what} of yours are open; expected fewer, try again later")
        self._open[client] = self._open.get(client, 0) + 1
        try:
            yield
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]


@dataclass
class OpenAmount:
    """An amount of what each client has open, up to `most` for all of its holders together."""

    most: int
    """Per client."""
    what: str
    """What is measured, in the plural, for the refusal."""
    _held: dict[str, int] = field(default_factory=dict, repr=False)

    @contextmanager
    def hold(self, client: str) -> Iterator[HeldAmount]:
        """Yield a holder of nothing yet, whose amount is given back after the block."""
        holder = HeldAmount(self, client)
        try:
            yield holder
        finally:
            holder.change(0)

    def add(self, client: str, amount: int) -> None:
        """Add to what the client has, or take away; BusyError if that is too much."""
        held = self._held.get(client, 0) + amount
        if amount > 0 and held > self.most:
            raise BusyError(f"got {held:,} {self.what} of yours in all; expected at most {self.most:,}")
        self._held[client] = held
        if not held:
            del self._held[client]


@dataclass
class HeldAmount:
    """What one holder has of an `OpenAmount`."""

    _all: OpenAmount = field(repr=False)
    _client: str
    amount: int = 0

    def change(self, amount: int) -> None:
        """Have `amount` from now on; BusyError, and no change, if that is too much."""
        self._all.add(self._client, amount - self.amount)
        self.amount = amount


@dataclass
class RoomForecast:
    """When there will be room for who was turned away: one after the other, at the pace at which jobs end."""

    clock: Callable[[], float] = time.monotonic
    """Seconds, never going back."""
    most_s: float = 60.0
    """The longest wait that is told; OpenAI's clients take no longer one for an answer."""
    _pace_s: float = 1.0
    _booked: float = 0.0

    def note(self, seconds: float) -> None:
        """Note how long a job took."""
        self._pace_s = 0.7 * self._pace_s + 0.3 * seconds

    def book_s(self) -> int:
        """Return after how many whole seconds to ask again; the next to ask is told a later time."""
        now = self.clock()
        self._booked = min(max(now, self._booked) + self._pace_s, now + self.most_s)
        return max(1, math.ceil(self._booked - now))
