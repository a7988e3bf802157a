"""Draws by name are even, repeatable, and of one stream each."""

from __future__ import annotations

from allaprima.paint.layout.draws import SeededDraws


def test_draws_are_the_same_everywhere() -> None:
    draws = SeededDraws(7, "sky")
    assert [round(draws.random(), 12) for _ in range(2)] == [0.692455156066, 0.774797548995]
    assert SeededDraws(8, "sky").random() != SeededDraws(7, "sky").random() != SeededDraws(7, "hill").random()


def test_draws_are_even_and_within_bounds() -> None:
    numbers = [SeededDraws(seed, "evenly").random() for seed in range(4000)]
    assert all(0 <= number < 1 for number in numbers)
    for tenth in range(10):
        assert 330 < sum(tenth <= 10 * number < tenth + 1 for number in numbers) < 470
    draws = SeededDraws(1, "bounds")
    assert {draws.randint(2, 4) for _ in range(200)} == {2, 3, 4}
    assert {draws.choice("abc") for _ in range(200)} == set("abc")
    assert all(-1 <= draws.uniform(-1, -0.5) < -0.5 for _ in range(200))
