from __future__ import annotations

import numpy as np
from PIL import Image
from tests.tiny_retouch import disc_before

from allaprima.paint.retouch.matting import foreground, refine
from allaprima.paint.retouch.picture_arrays import to_array


def test_a_refined_matte_has_the_edges_of_the_large_picture() -> None:
    image, matte = disc_before("#2040d0", 256)
    small = image.resize((64, 64), Image.Resampling.BOX)
    coarse = np.array(Image.fromarray(matte).resize((64, 64), Image.Resampling.BOX))
    enlarged = np.asarray(Image.fromarray(coarse).resize((256, 256), Image.Resampling.BILINEAR))
    refined = refine(coarse, to_array(small), to_array(image))
    assert np.abs(refined - matte).mean() < 0.3 * np.abs(enlarged - matte).mean()
    assert np.abs(refined - matte).max() < 0.1


def test_a_matte_of_one_value_stays_what_it_is() -> None:
    colors = np.random.default_rng(0).random((40, 30, 3), dtype=np.float32)
    for value in (0.0, 1.0):
        refined = refine(np.full((40, 30), value, np.float32), colors, colors)
        assert np.abs(refined - value).max() < 1e-4


def test_the_foreground_has_nothing_of_the_old_background() -> None:
    image, matte = disc_before("#2040d0", 256)
    red = np.array([0xD0, 0x20, 0x20], np.float32) / 255
    edge = (matte > 0.05) & (matte < 0.95)
    before = np.abs(to_array(image)[edge] - red).mean()
    after = np.abs(foreground(to_array(image), matte)[edge] - red).mean()
    assert before > 0.1
    assert after < 0.01


def test_covered_pixels_keep_their_colours_exactly() -> None:
    colors = np.random.default_rng(1).random((50, 70, 3), dtype=np.float32)
    matte = np.zeros((50, 70), np.float32)
    matte[10:40, 20:50] = 1
    found = foreground(colors, matte)
    assert np.abs(found - colors)[matte == 1].max() < 1e-5


def test_the_foreground_of_a_large_picture_is_that_of_a_small_one() -> None:
    image, matte = disc_before("#20d040", 1024)
    red = np.array([0xD0, 0x20, 0x20], np.float32) / 255
    assert np.abs(foreground(to_array(image), matte)[matte > 0.05] - red).max() < 0.03
