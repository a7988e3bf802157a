"""Wear that pictures get before a network is taught to cut them out: what painters, cameras and files do to them.

A painter's pictures are softer than the renderer's and their colours are others; files are compressed. A network that
has seen only clean renders cuts nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter


def frame(picture: NDArray[np.uint8], side: int, rng: Generator) -> NDArray[np.uint8]:
    """Return a picture (S, S, C), perhaps mirrored, perhaps only a part of it, brought to side x side pixels."""
    whole = len(picture)
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    part = round(whole * rng.uniform(0.6, 1.0)) if rng.random() < 0.4 else whole
    left, top = (int(rng.integers(0, whole - part + 1)) for _ in range(2))
    picture = picture[top : top + part, left : left + part]
    if part == side:
        return np.ascontiguousarray(picture)
    # Channel by channel: Pillow would take a fourth one for opacity and lose the colours where it is nought.
    bands = (np.ascontiguousarray(picture[..., band]) for band in range(picture.shape[2]))
    scaled = (Image.fromarray(band).resize((side, side), Image.Resampling.BICUBIC) for band in bands)
    return np.stack([np.asarray(band) for band in scaled], axis=2)


def wear(colors: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Return colours (H, W, 3) in another light and worn by chance: soft, grainy, coarse or compressed."""
    image = Image.fromarray(colors)
    if rng.random() < 0.5:
        image = _relight(image, rng)
    if rng.random() < 0.5:
        image = _WEARS[int(rng.integers(len(_WEARS)))](image, rng)
    return np.asarray(image)


def _relight(image: Image.Image, rng: Generator) -> Image.Image:
    image = ImageEnhance.Color(image).enhance(rng.uniform(0.3, 1.5))
    image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.7, 1.25))
    gains = rng.uniform(0.8, 1.2, 3)
    return Image.fromarray((np.asarray(image) * gains).clip(0, 255).astype(np.uint8))


def _soften(image: Image.Image, rng: Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.6)))


def _coarsen(image: Image.Image, rng: Generator) -> Image.Image:
    share = rng.uniform(0.4, 0.9)
    small = image.resize((round(image.width * share), round(image.height * share)), Image.Resampling.BILINEAR)
    return small.resize(image.size, Image.Resampling.BICUBIC)


def _grain(image: Image.Image, rng: Generator) -> Image.Image:
    noise = rng.normal(0, rng.uniform(2, 12), (image.height, image.width, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def _compress(image: Image.Image, rng: Generator) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=int(rng.integers(25, 85)))
    return Image.open(data).convert("RGB")


_WEARS: Final[tuple[Callable[[Image.Image, Generator], Image.Image], ...]] = (
    _soften, _coarsen, _grain, _compress,
)  # fmt: skip
