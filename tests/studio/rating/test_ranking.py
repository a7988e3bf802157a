from __future__ import annotations

import math

import numpy as np
import pytest

from allaprima.studio.rating.ranking import Choice, Encounter, Ranking, fit_strengths, rank


def standing(ranking: Ranking, name: str) -> float:
    return next(one.score.value for one in ranking.standings if one.name == name)


def test_of_two_it_is_the_adjusted_logit() -> None:
    left: Choice = "left"
    tie: Choice = "tie"
    choices = [left] * 49 + [tie]
    ranking = rank(
        ["a", "b"], [(int(30 <= n < 49), int(n < 30 or n == 49), one) for n, one in enumerate(choices)]
    )
    best = ranking.standings[0]
    assert (best.name, best.wins, best.ties, best.losses) == ("a", 30, 1, 19)
    odds, error = math.log(31 / 20), math.sqrt(1 / 31 + 1 / 20)
    expected = [
        100 / (1 + math.exp(-one)) for one in (odds, odds - 1.959964 * error, odds + 1.959964 * error)
    ]
    assert [best.score.value, best.score.low, best.score.high] == pytest.approx(expected, abs=1e-6)
    assert not best.score.tells_apart
    assert ranking.votes == 50


def test_fifty_of_fifty_tell_apart_and_are_not_certain() -> None:
    best = rank(["a", "b"], [(1, 0, "right")] * 50).standings[0]
    assert best.name == "a"
    assert best.score.tells_apart
    assert 80 < best.score.low < best.score.value < best.score.high < 100


def test_without_votes_nothing_is_known() -> None:
    ranking = rank(["a", "b", "c"], [])
    assert {round(one.score.value) for one in ranking.standings} == {50}
    assert not any(one.score.tells_apart for one in ranking.standings)


def test_sides_do_not_matter() -> None:
    votes: list[tuple[int, int, Choice]] = [(0, 1, "left"), (1, 2, "right"), (0, 2, "tie"), (2, 0, "left")]
    turned: dict[Choice, Choice] = {"left": "right", "right": "left", "tie": "tie"}
    mirrored = [(right, left, turned[choice]) for left, right, choice in votes]
    assert rank("abc", votes) == rank("abc", mirrored)


def test_the_strengths_explain_the_wins() -> None:
    wins = np.array([[0, 8, 9], [2, 0, 7], [1, 3, 0]], dtype=float)
    strengths, _ = fit_strengths(wins)
    with_halves = wins + 0.5 * (1 - np.eye(3))
    chance = 1 / (1 + np.exp(strengths[None] - strengths[:, None]))
    expected = ((with_halves + with_halves.T) * chance * (1 - np.eye(3))).sum(1)
    assert expected == pytest.approx(with_halves.sum(1), abs=1e-9)
    assert strengths.sum() == pytest.approx(0, abs=1e-9)
    assert strengths[0] > strengths[1] > strengths[2]


def test_a_third_tells_of_two_that_never_met() -> None:
    choice: Choice = "left"
    ranking = rank("abc", [(0, 1, choice)] * 20 + [(1, 2, choice)] * 20)
    first: Encounter = next(one for one in ranking.encounters if (one.first, one.second) == ("a", "c"))
    assert first.votes == 0
    assert first.score.low > 50


@pytest.mark.parametrize("pairs", [30, 100])
def test_intervals_hold_the_truth_about_nineteen_times_of_twenty(pairs: int) -> None:
    draw, held = np.random.default_rng(0), 0
    for _ in range(400):
        truth = draw.normal(size=3)
        votes: list[tuple[int, int, Choice]] = []
        for one, two in ((0, 1), (0, 2), (1, 2)):
            chance = 1 / (1 + math.exp(truth[two] - truth[one]))
            votes += [(one, two, "left" if win else "right") for win in draw.random(pairs) < chance]
        ranking = rank("abc", votes)
        found = next(one.score for one in ranking.encounters if (one.first, one.second) == ("a", "c"))
        held += found.low <= 100 / (1 + math.exp(truth[2] - truth[0])) <= found.high
    assert 0.93 <= held / 400 <= 0.985
