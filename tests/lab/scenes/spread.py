"""How alike two sets of layouts are: the largest gap between the shares below any value (Kolmogorov, Smirnov)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from allaprima.core.layout import Layout

FEWEST = 150
"""Kinds with fewer things than this in either set say nothing about a distribution."""


def gap(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the largest gap of two samples' shares, 0 (alike) to 1."""
    first, second = np.sort(one), np.sort(other)
    values = np.concatenate([first, second])
    below = [np.searchsorted(sample, values, side="right") / len(sample) for sample in (first, second)]
    return float(np.abs(below[0] - below[1]).max())


def gaps(one: Sequence[Layout], other: Sequence[Layout]) -> dict[str, tuple[float, float]]:
    """Name -> the gap, and the gap that chance alone gives in one case of a thousand, for two sets of layouts."""
    found = {}
    samples = [_samples(layouts) for layouts in (one, other)]
    for name in sorted(set(samples[0]) | set(samples[1])):
        first, second = (sample.get(name, []) for sample in samples)
        if max(len(first), len(second)) < FEWEST:
            continue
        if min(len(first), len(second)) == 0:
            found[name] = (1.0, 0.0)
            continue
        n, m = len(first), len(second)
        found[name] = (gap(first, second), 1.95 * ((n + m) / (n * m)) ** 0.5)
    return found


def _samples(layouts: Sequence[Layout]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for layout in layouts:
        counts = Counter((thing.layer, "" if thing.layer == "subject" else thing.kind) for thing in layout)
        for (layer, kind), count in counts.items():
            found.setdefault(f"{layer} {kind} count", []).append(count)
        for thing in layout:
            name = f"{thing.layer} {'' if thing.layer == 'subject' else thing.kind}"
            box = thing.box
            values = {
                "x": (box.left + box.right) / 2,
                "bottom": box.bottom,
                "width": box.width,
                "height": box.height,
            }
            for what, value in values.items():
                # To whole pixels: a lattice of values has steps, and a rounding must not decide on which side of one.
                found.setdefault(f"{name} {what}", []).append(round(256 * value) / 256)
    return found
