from __future__ import annotations

from allaprima.studio.engine.limits import Limits


def test_two_rows_may_share_a_pass_of_the_smallest_room() -> None:
    assert Limits(pixels_per_pass=1).rows_per_pass(256, 256) == 1
    assert Limits().rows_per_pass(256, 256) == 32
    assert Limits().rows_per_pass(1024, 1024) == 2
