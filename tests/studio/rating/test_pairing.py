from __future__ import annotations

from collections import Counter

from allaprima.studio.rating.pairing import draw_pairs

NAMES = [f"cat-{number}" for number in range(40)]


def test_every_two_folders_meet_once_for_each_picture() -> None:
    pairs = draw_pairs(3, NAMES, seed=1)
    met = Counter((frozenset((pair.left, pair.right)), pair.picture) for pair in pairs)
    assert len(pairs) == 3 * 40 == len(met)
    assert [pair.number for pair in pairs] == [*range(120)]


def test_the_seed_decides() -> None:
    assert draw_pairs(2, NAMES, seed=1) == draw_pairs(2, NAMES, seed=1)
    assert draw_pairs(2, NAMES, seed=1) != draw_pairs(2, NAMES, seed=2)


def test_sides_and_order_are_random() -> None:
    pairs = draw_pairs(2, NAMES, seed=0)
    assert 10 <= sum(pair.left for pair in pairs) <= 30
    assert [pair.picture for pair in pairs] != NAMES


def test_wherever_one_stops_all_have_met_alike() -> None:
    for most in range(1, 30):
        met = Counter(frozenset((pair.left, pair.right)) for pair in draw_pairs(4, NAMES, seed=3, most=most))
        assert sum(met.values()) == most
        assert max(met.values()) - (min(met.values()) if len(met) == 6 else 0) <= 1
