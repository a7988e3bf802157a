"""How far a measured rate may be from the true one."""

from __future__ import annotations

from math import sqrt

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the standard normal distribution."""


def wilson_interval(right: int, total: int, z: float = Z_95) -> tuple[float, float]:
    """Return the Wilson score interval of a rate of `right` in `total`, both ends in [0, 1].

    Wilson (1927), "Probable inference, the law of succession, and statistical inference". Without any trial
    nothing is known: (0, 1).

    Raises:
        ValueError: `right` is not in 0..total.
    """
    if not 0 <= right <= total:
        raise ValueError(f"got {right} right of {total}; expected 0 <= right <= total")
    if total == 0:
        return 0.0, 1.0
    rate = right / total
    scale = 1 + z * z / total
    middle = (rate + z * z / (2 * total)) / scale
    half = z / scale * sqrt(rate * (1 - rate) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def newcombe_interval(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """Return the 95 % interval of the difference first - second of two rates, each (right, total).

    Newcombe (1998), method 10: the two Wilson intervals joined.
    """
    rates = [right / total if total else 0.0 for right, total in (first, second)]
    (low1, high1), (low2, high2) = (wilson_interval(*pair) for pair in (first, second))
    gap = rates[0] - rates[1]
    low = gap - sqrt((rates[0] - low1) ** 2 + (high2 - rates[1]) ** 2)
    high = gap + sqrt((high1 - rates[0]) ** 2 + (rates[1] - low2) ** 2)
    return low, high
