"""The cache by count, by bytes, and against a list that is kept by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from allaprima.core.lru import LruCache


def test_the_least_recently_used_is_dropped_and_a_look_is_a_use() -> None:
    cache = LruCache[str, int](max_count=2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.find("a") == 1
    assert "b" in cache  # which is no use
    cache.put("c", 3)
    assert list(cache) == ["a", "c"]
    assert cache.find("b") is None


def test_bytes_are_limited_and_the_newest_stays_however_large() -> None:
    cache = LruCache[str, bytes](max_bytes=10, size_of=len)
    for key, size in (("a", 4), ("b", 4), ("a", 6)):
        cache.put(key, bytes(size))
    assert (list(cache), cache.num_bytes) == (["b", "a"], 10)
    cache.put("c", bytes(50))
    assert (list(cache), cache.num_bytes) == (["c"], 50)
    cache.discard("c")
    cache.discard("c")
    assert (len(cache), cache.num_bytes) == (0, 0)


def test_a_value_is_made_once_while_it_is_kept() -> None:
    cache = LruCache[str, list[int]](max_count=1)
    first = cache.get_or_make("a", list)
    assert cache.get_or_make("a", list) is first
    cache.get_or_make("b", list)
    assert cache.get_or_make("a", list) is not first


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9))))
def test_every_run_keeps_what_a_list_would(actions: list[tuple[int, int]]) -> None:
    cache = LruCache[int, int](max_count=3, max_bytes=12, size_of=lambda size: size)
    rows: list[tuple[int, int]] = []
    for key, size in actions:
        cache.put(key, size)
        rows = [row for row in rows if row[0] != key] + [(key, size)]
        while len(rows) > 1 and (len(rows) > 3 or sum(size for _, size in rows) > 12):
            del rows[0]
        assert list(cache) == [key for key, _ in rows]
        assert cache.num_bytes == sum(size for _, size in rows)
