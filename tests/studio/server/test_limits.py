"""Token buckets and open places."""

from __future__ import annotations

import pytest

from allaprima.core.errors import BusyError
from allaprima.studio.server.limits import OpenCount, Pace, RateLimiter, RoomForecast


def test_a_bucket_refills_as_time_goes_by() -> None:
    now = 0.0
    limiter = RateLimiter(rate=2.0, burst=3.0, clock=lambda: now)
    assert [limiter.wait_s("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert limiter.wait_s("b") == 0.0
    now = 0.5
    assert limiter.wait_s("a") == 0.0
    assert limiter.wait_s("a") > 0.0


def test_a_million_clients_cost_no_memory() -> None:
    limiter = RateLimiter(rate=1.0, burst=1.0, clock=lambda: 0.0)
    for number in range(20_000):
        limiter.wait_s(str(number))
    assert len(limiter._buckets) <= 10_000


def test_a_pace_is_kept_by_all_together() -> None:
    now = [100.0]
    pace = Pace(rate=10.0, burst=20.0, clock=lambda: now[0])
    assert [pace.take(10.0) for _ in range(4)] == [0.0, 0.0, 1.0, 2.0]  # who comes later waits longer
    now[0] = 101.0
    assert pace.take(5.0) == 1.5
    now[0] = 200.0  # a rest is worth one burst and no more
    assert [pace.take(20.0), pace.take(10.0)] == [0.0, 1.0]


def test_places_are_given_back() -> None:
    count = OpenCount(most=1, what="jobs")
    with count.hold("a"), count.hold("b"):
        with pytest.raises(BusyError, match="1 jobs of yours are open"), count.hold("a"):
            pytest.fail("there was no place left")
        assert count._open == {"a": 1, "b": 1}
    assert not count._open
    with count.hold("a"):
        assert count._open == {"a": 1}


def test_who_is_turned_away_is_told_when_there_will_be_room() -> None:
    now = [100.0]
    room = RoomForecast(clock=lambda: now[0])
    for _ in range(40):
        room.note(2.0)
    assert [room.book_s() for _ in range(3)] == [2, 4, 6]
    now[0] = 104.0
    assert room.book_s() == 4  # behind those who were told before
    now[0] = 1000.0
    assert room.book_s() == 2
    assert max(room.book_s() for _ in range(100)) == 60
