"""Pictures for tests of the server: plain colours, no model."""

from __future__ import annotations

import io

from PIL import Image

from allaprima.core.picture import Picture
from allaprima.core.request import GenerationRequest


def plain_picture(prompt: str = "a cat on a roof", seed: int = 0, side: int = 16) -> Picture:
    """Return a small picture of one colour, which the seed chooses."""
    request = GenerationRequest(prompt=prompt, seed=seed, width=side, height=side)
    return Picture(request=request, width=side, height=side, rgb=bytes([seed % 256, 80, 160] * side * side))


def png_bytes(width: int = 16, height: int = 16, mode: str = "RGB", file_format: str = "PNG") -> bytes:
    """Return a picture file of these sizes."""
    out = io.BytesIO()
    Image.new(mode, (width, height), 90).save(out, file_format)
    return out.getvalue()
