"""Harm done to pictures on purpose: the judge is to go by what is in a picture, not by how crisp it is."""

from __future__ import annotations

import io
import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter


def wear_picture(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Blur, shrink, grain, dim or compress an RGB picture a little; one in four stays as it is."""
    if rng.random() < 0.25:
        return picture
    width, height = picture.size
    if rng.random() < 0.4:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.8)))
    if rng.random() < 0.3:
        scale = rng.uniform(0.5, 0.95)
        small = picture.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
        picture = small.resize((width, height), Image.Resampling.BICUBIC)
    if rng.random() < 0.3:
        picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.94, 1.06))
    if rng.random() < 0.3:
        picture = Image.fromarray(_grain(np.asarray(picture), rng))
    if rng.random() < 0.3:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=rng.randint(35, 90))
        picture = Image.open(file).convert("RGB")
    return picture


def _grain(pixels: NDArray[np.uint8], rng: random.Random) -> NDArray[np.uint8]:
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(1, 6), pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)
