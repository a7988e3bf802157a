"""Mattes of rendered scenes: how much of each pixel the subjects cover, with all that they wear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from allaprima.lab.scenes.render import render_scene
from allaprima.lab.scenes.spec import Scene
from allaprima.lab.scenes.sprites import SpriteCache


def render_with_matte(scene: Scene, sprites: SpriteCache, size: int = 256) -> NDArray[np.uint8]:
    """Return a scene (size, size, 4): its colours and its matte."""
    rendered = render_scene(scene, sprites, size)
    # Each mask is what is visible of one subject, so their sum is what all of them cover.
    matte = rendered.masks.sum(0, dtype=np.int64).clip(0, 255).astype(np.uint8)
    return np.concatenate([rendered.image, matte[..., None]], axis=2)
