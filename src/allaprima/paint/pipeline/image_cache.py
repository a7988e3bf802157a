"""The latents of the pictures that were painted over last: words change more often than what lies below them.

latents = ImageCache().encode(guard, to_pixels(init_image), key=(init_image.width, init_image.rgb))
"""

from __future__ import annotations

from torch import Tensor

from allaprima.core.lru import LruCache
from allaprima.core.picture import Rescues
from allaprima.paint.contract.base import Base
from allaprima.paint.pipeline.overflow_guard import OverflowGuard

CACHE_BYTES = 64 * 2**20
"""Three hundred pictures of 256x256, five of 2048x2048."""

ImageKey = tuple[int, bytes]
"""Width and levels of a picture. Bytes compute their hash once, and mostly they are the very same object."""


class ImageCache:
    """Encoded pictures of one base, the least recently asked for dropped first."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._latents: LruCache[ImageKey, tuple[Tensor, int]] = LruCache(
            max_bytes=max_bytes, size_of=lambda kept: kept[1]
        )

    def sketch(self, base: Base, pixels: Tensor, key: ImageKey) -> Tensor | None:
        """Return a base's `sketch` of `pixels`; None where it has none, or the latents themselves are kept."""
        nearly = None if key in self._latents else base.sketch(pixels)
        return None if nearly is None else nearly.float()

    def encode(self, base: Base, pixels: Tensor, key: ImageKey) -> Tensor:
        """Return the clean latents (1, C, h, w) of `pixels`, in float32.

        What a guard has to rescue is not kept, so that it is counted each time.

        Args:
            base: encodes what is not kept.
            pixels: (1, 3, height, width) in [0, 1].
            key: what they were made from.
        """
        known = self._latents.find(key)
        if known is not None:
            return known[0]
        before = _rescues(base)
        latents = base.encode(pixels).float()
        if _rescues(base) == before:
            self._latents.put(key, (latents, latents.nbytes + len(key[1])))
        return latents


def _rescues(base: Base) -> Rescues:
    return base.rescues if isinstance(base, OverflowGuard) else Rescues()
