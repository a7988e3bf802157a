"""A studio's first pictures, for nobody: prompts of every usual length.

Matrix products are compiled for the shapes they are first asked for, and prompts of every length are other
shapes. Without this the first prompt of each length takes longer, and memory grows by some 3 MiB with each.
"""

from __future__ import annotations

import time

from allaprima.paint.painter import Painter

MOST_WORDS = 24
"""The longest prompt that is painted; few people type longer ones."""
BUDGET_S = 3.0


def warm_up(painter: Painter, budget_s: float = BUDGET_S) -> int:
    """Paint prompts of one word, of two and so on, in one step, and throw the pictures away.

    Args:
        painter: with a base whose pictures take milliseconds.
        budget_s: no further one is begun after so long.

    Returns:
        How many were painted.
    """
    begun = time.monotonic()
    for words in range(1, MOST_WORDS + 1):
        painter.paint(painter.request(turbo=False, prompt=" ".join(["a"] * words), steps=1, guidance=1.0))
        if time.monotonic() - begun > budget_s:
            return words
    return MOST_WORDS
