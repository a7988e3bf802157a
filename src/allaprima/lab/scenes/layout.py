"""Layout: where in a scene's picture its subjects stand and how large they are."""

from __future__ import annotations

import random

from allaprima.lab.scenes.spec import Scene
from allaprima.paint.layout.spots import Spot, lay_out


def spots_of(scene: Scene) -> list[Spot]:
    """Return the spots of a scene as it is rendered, a function of its seed."""
    rng = random.Random(f"layout {scene.seed}")
    return lay_out(scene.subjects, scene.framing, lambda _: rng)
