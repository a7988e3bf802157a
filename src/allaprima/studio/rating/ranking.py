"""What votes on pairs come to: the model of Bradley and Terry, with 95 % intervals.

Each folder has a strength; the chance that one is preferred to another is the logistic function of the difference of
their strengths (Bradley and Terry 1952, "Rank analysis of incomplete block designs: the method of paired
comparisons"). A tie counts as half a vote for each. Strengths are those of greatest likelihood, with half a vote for
and half a vote against every folder in each encounter, so that they stay finite when one side wins everything; of two
folders that is the adjusted logit (Gart and Zweifel 1967). Intervals come from the Fisher information. A bootstrap
would say 100 to 100 % of fifty votes that all fall on one side.

Votes are taken as independent of each other. Where more than two folders are rated, one picture stands in several
pairs, so intervals are then a little too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Choice = Literal["left", "right", "tie"]
Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the standard normal distribution."""
HALF_VOTE = 0.5
_MOST_ROUNDS = 100


@dataclass(frozen=True, kw_only=True)
class Score:
    """How often one folder is preferred, in percent, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def tells_apart(self) -> bool:
        """Whether 50 % lies outside the interval."""
        return not self.low <= 50.0 <= self.high


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one folder stands."""

    name: str
    score: Score
    """Against the average of the others."""
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True, kw_only=True)
class Encounter:
    """How two folders stand against each other."""

    first: str
    second: str
    score: Score
    """How often the first is preferred to the second, as the model has it."""
    votes: int
    """On pairs of these two."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """What votes come to."""

    standings: tuple[Standing, ...]
    """The best first."""
    encounters: tuple[Encounter, ...]
    votes: int

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "votes": self.votes,
            "standings": [asdict(one) for one in self.standings],
            "encounters": [asdict(one) for one in self.encounters],
        }


def rank(names: Sequence[str], votes: Iterable[tuple[int, int, Choice]]) -> Ranking:
    """Return what `votes` come to: each the folder on the left, that on the right, and the choice."""
    size = len(names)
    won, tied = np.zeros((size, size), dtype=np.int64), np.zeros((size, size), dtype=np.int64)
    for left, right, choice in votes:
        if choice == "tie":
            tied[left, right] += 1
            tied[right, left] += 1
        else:
            better, worse = (left, right) if choice == "left" else (right, left)
            won[better, worse] += 1
    strengths, covariance = fit_strengths(won + tied / 2)
    standings = [
        Standing(
            name=name,
            score=_score(_against_others(number, size), strengths, covariance),
            wins=int(won[number].sum()),
            ties=int(tied[number].sum()),
            losses=int(won[:, number].sum()),
        )
        for number, name in enumerate(names)
    ]
    encounters = [
        Encounter(
            first=names[one],
            second=names[two],
            score=_score(_against_one(one, two, size), strengths, covariance),
            votes=int(won[one, two] + won[two, one] + tied[one, two]),
        )
        for one, two in combinations(range(size), 2)
    ]
    standings.sort(key=lambda one: -one.score.value)
    total = int(won.sum() + tied.sum() // 2)
    return Ranking(standings=tuple(standings), encounters=tuple(encounters), votes=total)


def fit_strengths(wins: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the strengths (K,), whose sum is 0, and the covariance (K, K) of their differences.

    Args:
        wins: (K, K), how often the row's folder was preferred to the column's; ties are halves.
    """
    size = len(wins)
    wins = wins + HALF_VOTE * (1 - np.eye(size))
    met = wins + wins.T
    strengths = np.zeros(size)
    for _ in range(_MOST_ROUNDS):  # Newton's method; the likelihood is concave
        chance = 1 / (1 + np.exp(strengths[None] - strengths[:, None]))
        slope = (wins - met * chance).sum(1)
        information = met * chance * (1 - chance)
        curvature = np.diag(information.sum(1)) - information
        # Only differences matter: the curvature is flat along their sum, which the pseudo-inverse leaves alone.
        covariance = np.asarray(np.linalg.pinv(curvature, hermitian=True), np.float64)
        step = covariance @ slope
        strengths = strengths + step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-12:
            break
    return strengths, covariance


def _against_others(number: int, size: int) -> NDArray[np.float64]:
    weights = np.full(size, -1 / (size - 1))
    weights[number] = 1.0
    return weights


def _against_one(one: int, two: int, size: int) -> NDArray[np.float64]:
    weights = np.zeros(size)
    weights[one], weights[two] = 1.0, -1.0
    return weights


def _score(
    weights: NDArray[np.float64], strengths: NDArray[np.float64], covariance: NDArray[np.float64]
) -> Score:
    middle, half = (
        float(weights @ strengths),
        Z_95 * math.sqrt(max(0.0, float(weights @ covariance @ weights))),
    )
    value, low, high = (100 / (1 + math.exp(-odds)) for odds in (middle, middle - half, middle + half))
    return Score(value=value, low=low, high=high)
