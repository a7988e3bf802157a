"""Putting a cut-out subject before another background, in that background's light.

Arrays are floats, 0 to 1: colours (H, W, 3) in sRGB, mattes (H, W).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from allaprima.paint.retouch.matting import Array

LIGHT_SHARE: Final = 0.45
"""How far a subject follows the change of light; all the way, it would be tinted rather than lit."""
LIGHT_RANGE: Final = (0.55, 1.5)
"""The least and the most that a channel is multiplied by."""
SHADOW: Final = 0.42
"""How much darker the ground is where a subject touches it."""
FOOT: Final = 0.12
"""The share of a subject's height that can touch the ground."""


def compose(front: Array, matte: Array, behind: Array, *, old: Array | None) -> Array:
    """Return the subject before a new background.

    Args:
        front: the subject's own colours, without those of what was behind it.
        matte: how much of each pixel it covers.
        behind: the new background.
        old: the picture that the subject was cut from, for the light it stood in; None where it is not known.
    """
    lit = front if old is None else relight(front, matte, behind, old)
    ground = behind * (1 - SHADOW * contact_shadow(matte))[..., None]
    return np.asarray(lit * matte[..., None] + ground * (1 - matte[..., None]), dtype=np.float32)


def relight(front: Array, matte: Array, behind: Array, old: Array) -> Array:
    """Return the subject's colours in the light of the new background.

    Each channel of linear light is multiplied (von Kries) by what the new background's mean is to the old one's, to
    the power `LIGHT_SHARE`; what lies in shade, and so is lit by its surroundings, follows more than highlights do.
    """
    away = (1 - matte)[..., None]
    if away.mean() < 0.02:  # the subject fills the picture: nothing is known of the light it stood in
        return front
    was = (to_linear(old) * away).sum((0, 1)) / away.sum()
    now = to_linear(behind).mean((0, 1))
    gains = (((now + 0.02) / (was + 0.02)) ** LIGHT_SHARE).clip(*LIGHT_RANGE)
    light = to_linear(front)
    shade = 1 - light.mean(2, keepdims=True)
    return to_srgb((light * gains ** (0.5 + 0.5 * shade)).clip(0, 1))


def contact_shadow(matte: Array) -> Array:
    """Return where the ground below a subject is dark, (H, W), 0 to 1; none where the picture's edge cuts it off."""
    height = matte.shape[0]
    rows = np.flatnonzero((matte > 0.5).any(1))
    if not len(rows) or rows[-1] >= height - 2:
        return np.zeros_like(matte)
    tall = rows[-1] + 1 - rows[0]
    reach = max(2, round(tall * 0.045))
    foot = matte.copy()
    foot[: rows[-1] + 1 - max(1, round(tall * FOOT))] = 0
    mask = Image.fromarray((foot * 255).astype(np.uint8))
    # The foot pressed flat and moved down by half its own height: a pool that it stands in.
    pool = mask.filter(ImageFilter.MaxFilter(2 * (reach // 2) + 1)).filter(
        ImageFilter.GaussianBlur(reach * 0.9)
    )
    moved = np.roll(np.asarray(pool, dtype=np.float32) / np.float32(255), reach // 2, axis=0)
    moved[: reach // 2] = 0
    return moved


def middle_part(matte: Array) -> Array:
    """Return the part of a matte whose solid pixels hang together and lie nearest to the lower middle."""
    solid = np.argwhere(matte > 0.5)
    if not len(solid):
        return matte
    foot = np.array([matte.shape[0] * 0.75, matte.shape[1] * 0.5])
    row, column = solid[np.square(solid - foot).sum(1).argmin()]
    mask = Image.fromarray(((matte > 0.1) * 255).astype(np.uint8)).copy()
    ImageDraw.floodfill(mask, (int(column), int(row)), 128)
    return np.where(np.asarray(mask) == 128, matte, 0).astype(np.float32)


def fill_hole(colors: Array, matte: Array) -> Array:
    """Return a picture without its subject: every row goes on smoothly between the colours on both sides of it."""
    side = max(matte.shape)
    margin = max(1, round(side * 0.035))
    hole = Image.fromarray(((matte > 0.1) * 255).astype(np.uint8)).filter(
        ImageFilter.MaxFilter(2 * margin + 1)
    )
    covered = np.asarray(hole) > 127
    filled, columns = colors.copy(), np.arange(matte.shape[1])
    for row in np.flatnonzero(covered.any(1)):
        known = columns[~covered[row]]
        if len(known):
            for channel in range(3):
                filled[row, :, channel] = np.interp(columns, known, filled[row, known, channel])
    return filled


def to_linear(colors: Array) -> Array:
    """Return linear light of sRGB colours (IEC 61966-2-1)."""
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(light: Array) -> Array:
    """Return sRGB colours of linear light (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)
