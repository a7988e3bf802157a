"""Which pixels are the subject: what finds mattes, and the one that ships."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from allaprima.core.errors import PictureError
from allaprima.paint.retouch.matte_network import STRIDE, MatteNetwork
from allaprima.paint.retouch.matting import Array, refine
from allaprima.paint.retouch.picture_arrays import to_array

WORKING_SIDE: Final = 256
"""Pixels of the longer side at which the shipped network looks at a picture; it learned at this size."""
LEAST_SHARE: Final = 0.002
"""The share of a picture that a subject must cover: a square of 11 pixels in one of 256."""
CLEAR: Final = 0.03
"""Values so near to nothing or all are taken for it."""


class MatteFinder(Protocol):
    """What finds the subject of a picture: the shipped network, or weights of the user's."""

    def find(self, image: Image.Image) -> Array:
        """Return the matte (H, W), 0 to 1, of an RGB picture of any size."""


@dataclass(frozen=True, kw_only=True)
class ShippedMatte:
    """The network that ships, which knows what Vignette paints."""

    network: MatteNetwork

    @torch.inference_mode()
    def find(self, image: Image.Image) -> Array:
        """Return the matte (H, W), 0 to 1, of an RGB picture; a large one's is found at 256 pixels and refined."""
        share = min(1.0, WORKING_SIDE / max(image.size))
        size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
        small = image if size == image.size else image.resize(size, Image.Resampling.BOX)
        colors = to_array(small)
        pixels = torch.from_numpy(colors).permute(2, 0, 1)[None] * 2 - 1
        down, right = (-side % STRIDE for side in pixels.shape[2:])
        padded = functional.pad(pixels, (0, right, 0, down), mode="replicate")
        parameter = next(self.network.parameters())
        padded = padded.to(parameter.device, parameter.dtype, memory_format=torch.channels_last)
        logits = self.network(padded)[0, : size[1], : size[0]]
        matte = logits.float().sigmoid().cpu().numpy()
        return matte if size == image.size else refine(matte, colors, to_array(image))


def find_subject(image: Image.Image, finder: MatteFinder) -> Array:
    """Return the matte (H, W), 0 to 1, of an RGB picture's subject.

    Raises:
        PictureError: nothing stands out.
    """
    matte = settled(finder.find(image))
    if (matte > 0.5).mean() < LEAST_SHARE:
        raise PictureError(
            "nothing stands out in the picture; expected a subject before a background, "
            "point at one with weights that take points"
        )
    return matte


def settled(matte: Array) -> Array:
    """Return a matte whose faint values are nothing and whose nearly full ones are all."""
    return np.asarray(((matte - CLEAR) / (1 - 2 * CLEAR)).clip(0, 1), dtype=np.float32)
