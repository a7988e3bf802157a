"""A picture is encoded once, whatever comes between, unless it had to be rescued."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tests.tiny import SteadyBase

from allaprima.core.picture import Rescues
from allaprima.paint.pipeline.image_cache import ImageCache
from allaprima.paint.pipeline.overflow_guard import OverflowGuard


@dataclass
class CountingBase(SteadyBase):
    encodes: int = 0

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        self.encodes += 1
        return super().encode(pixels)


def pixels(level: float) -> torch.Tensor:
    return torch.full((1, 3, 64, 128), level).index_fill(3, torch.arange(64), 0.0)


def test_each_picture_is_encoded_once() -> None:
    base, cache = CountingBase(), ImageCache()
    for _ in range(3):
        for level in (0.25, 0.5):
            latents = cache.encode(base, pixels(level), (128, bytes([int(255 * level)])))
            torch.testing.assert_close(latents, SteadyBase().encode(pixels(level)))
    assert base.encodes == 2


def test_equal_levels_of_another_shape_are_another_picture() -> None:
    base, cache = CountingBase(), ImageCache()
    cache.encode(base, pixels(0.5), (128, b"levels"))
    cache.encode(base, pixels(0.5).permute(0, 1, 3, 2), (64, b"levels"))
    assert base.encodes == 2


def test_old_pictures_make_room() -> None:
    base, cache = CountingBase(), ImageCache(max_bytes=5_000)
    for number in (0, 1, 2, 0):
        cache.encode(base, pixels(0.5), (128, bytes([number]) * 1000))
    assert base.encodes == 4


def test_what_was_rescued_is_counted_each_time() -> None:
    @dataclass
    class RescuedGuard(OverflowGuard):
        def __init__(self) -> None:
            super().__init__(SteadyBase())

        def encode(self, pixels: torch.Tensor) -> torch.Tensor:
            self.rescues = self.rescues + Rescues(decodes=1)
            return super().encode(pixels)

    guard, cache = RescuedGuard(), ImageCache()
    for _ in range(2):
        cache.encode(guard, pixels(0.5), (128, b"levels"))
    assert guard.rescues.decodes == 2
