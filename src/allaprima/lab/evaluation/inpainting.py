"""What painting over a part of a picture leaves of the rest: all of it, or the row is short."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from allaprima.core.init_image import InitImage
from allaprima.core.progress import OnProgress
from allaprima.lab.evaluation.measures import Measure
from allaprima.paint.painter import Painter

CASES: Final = tuple(
    (steps, strength, turbo) for turbo in (True, False) for steps in (1, 4) for strength in (0.5, 1.0)
)
"""Steps, strength and whether turbo is worn."""
BLUR_PX: Final = 6
"""Half of the masks have a soft edge."""


def measure_inpainting(
    painter: Painter, on_progress: OnProgress = lambda _what, _done, _total: None
) -> list[Measure]:
    """Return how many values outside a mask change, of pictures of noise that are painted over in part."""
    changed, repainted = 0, 0
    for number, (steps, strength, turbo) in enumerate(CASES):
        width, height = painter.base.defaults.width, painter.base.defaults.height
        below = _below(number, width, height, strength)
        assert below.mask is not None
        picture = painter(
            "a fox on a beach",
            seed=number,
            steps=steps,
            init_image=below,
            turbo=turbo,
            width=width,
            height=height,
        )
        kept = np.frombuffer(below.mask, np.uint8) == 0
        differ = (_rows(picture.rgb) != _rows(below.rgb)).any(axis=1)
        changed += int(differ[kept].sum())
        repainted += int(differ[~kept].sum())
        on_progress("painting over a part", number + 1, len(CASES))
    if not repainted:
        raise AssertionError("got pictures that nothing was painted in; expected new pixels under the masks")
    name = f"inpaint, {len(CASES)} pictures: pixels changed outside the mask"
    return [Measure(name=name, value=float(changed), unit="px", better="less", must=0.0)]


def _below(number: int, width: int, height: int, strength: float) -> InitImage:
    noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).ellipse((width // 4, height // 3, width * 3 // 4, height * 2 // 3), fill=255)
    if number % 2:
        mask = mask.filter(ImageFilter.GaussianBlur(BLUR_PX))
    image = Image.fromarray(noise)
    return InitImage.from_image(image, width=width, height=height, strength=strength, mask=mask)


def _rows(rgb: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.frombuffer(rgb, np.uint8).reshape(-1, 3)
