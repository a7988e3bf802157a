"""A studio's first pictures, for nobody: prompts of every usual length, with and without turbo, merged too.

Matrix products are compiled for the shapes they are first asked for, and prompts of every length are other
shapes. Without this the first prompt of each length takes longer, and memory grows by some 6 MiB with each.
"""

from __future__ import annotations

import time

import torch

from allaprima.paint.painter import Painter

MOST_WORDS = 24
"""The longest prompt that is painted; few people type longer ones."""
BUDGET_S = 6.0


def warm_up(painter: Painter, budget_s: float = BUDGET_S) -> int:
    """Paint prompts of one word, of two and so on, in one step, and throw the pictures away.

    Each is painted with the plain base, whose shapes are also those of merged LoRAs, and with turbo beside it, if
    there is one for this base. The memory to merge turbo is taken then, and no LoRA is worn afterwards. A picture is
    looked at as well, for those who paint over one.

    Args:
        painter: with a base whose pictures take milliseconds.
        budget_s: no further one is begun after so long.

    Returns:
        How many lengths were painted.
    """
    begun = time.monotonic()
    has_turbo = bool(painter.request(prompt="a").loras)
    done = 0
    while done < MOST_WORDS and (done == 0 or time.monotonic() - begun <= budget_s):
        done += 1
        for turbo in (False, True) if has_turbo else (False,):
            painter.paint(painter.request(prompt=" ".join(["a"] * done), steps=1, guidance=1.0, turbo=turbo))
    for steps in (1, 2) if has_turbo else ():
        request = painter.request(prompt="a", steps=steps, guidance=1.0)
        painter.paint(request)
        painter.idle()
        painter.paint(request)
    painter.apply_loras(())
    _look_at_a_picture(painter)
    return done


@torch.inference_mode()
def _look_at_a_picture(painter: Painter) -> None:
    """Have the base fit its sketch of the encoder, and lay out the encoder's weights."""
    size = painter.base.defaults
    grey = torch.full((1, 3, size.height, size.width), 0.5)
    painter.base.sketch(grey)
    painter.base.encode(grey)
