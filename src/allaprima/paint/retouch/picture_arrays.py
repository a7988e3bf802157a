"""Pictures as arrays of floats, and back."""

from __future__ import annotations

import numpy as np
from PIL import Image

from allaprima.paint.retouch.matting import Array


def to_array(image: Image.Image) -> Array:
    """Return the colours (H, W, 3) of an RGB picture, 0 to 1."""
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def to_image(colors: Array, matte: Array | None = None) -> Image.Image:
    """Return the RGB picture of colours (H, W, 3), 0 to 1, or with a matte (H, W) the RGBA picture."""
    parts = colors if matte is None else np.concatenate([colors, matte[..., None]], axis=2)
    return Image.fromarray((parts * 255).round().clip(0, 255).astype(np.uint8))
