"""A cache that drops what was used longest ago.

cache = LruCache[str, bytes](max_bytes=2**20, size_of=len)
page = cache.get_or_make("page", lambda: b"<html>")
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LruCache(Generic[Key, Value]):
    """Values by key, the least recently used dropped first. For one thread, or under a lock of the caller's.

    The newest value stays even if it is larger than the limit.

    Args:
        max_count: how many values are kept; None for any number.
        max_bytes: how many bytes they may take together; None for any number.
        size_of: the bytes of a value, which do not change while it is kept.
    """

    def __init__(
        self,
        *,
        max_count: int | None = None,
        max_bytes: int | None = None,
        size_of: Callable[[Value], int] = lambda _: 0,
    ) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self.num_bytes = 0
        """Of all values together, by `size_of`."""

    def find(self, key: Key) -> Value | None:
        """Return the value of `key`, which counts as a use, or None."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> Value:
        """Keep `value`, drop what is too much, and return `value`."""
        self.discard(key)
        self._values[key] = value
        self.num_bytes += self._size_of(value)
        while len(self._values) > 1 and self._is_over():
            self.discard(next(iter(self._values)))
        return value

    def get_or_make(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value of `key`, made and kept now if there is none."""
        if key not in self._values:
            return self.put(key, make())
        self._values.move_to_end(key)
        return self._values[key]

    def discard(self, key: Key) -> None:
        """Drop the value of `key`, if there is one."""
        if key in self._values:
            self.num_bytes -= self._size_of(self._values.pop(key))

    def __contains__(self, key: Key) -> bool:
        """Return whether `key` has a value; asking is no use of it."""
        return key in self._values

    def __iter__(self) -> Iterator[Key]:
        """Yield the keys, the least recently used first."""
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def _is_over(self) -> bool:
        too_many = self._max_count is not None and len(self._values) > self._max_count
        return too_many or (self._max_bytes is not None and self.num_bytes > self._max_bytes)
