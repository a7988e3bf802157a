from __future__ import annotations

import numpy as np
from PIL import Image

from allaprima.core.surround import Surround


def test_a_window_is_put_back_where_the_mask_says_and_nowhere_else() -> None:
    generator = np.random.default_rng(0)
    whole = generator.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    mask = np.zeros((20, 30), np.uint8)
    mask[4:8, 10:16] = 255
    mask[8, 10:16] = 128
    box = (8, 2, 20, 14)
    surround = Surround(width=30, height=20, rgb=whole.tobytes(), mask=mask.tobytes(), box=box)
    window = Image.new("RGB", (48, 48), (10, 20, 30))  # painted at four times the size
    done = np.frombuffer(surround.complete(window.tobytes(), 48, 48), np.uint8).reshape(20, 30, 3)
    assert (done[mask == 0] == whole[mask == 0]).all()
    assert (done[mask == 255] == (10, 20, 30)).all()
    mixed = (whole[8, 10:16].astype(float) * 127 + np.array([10, 20, 30]) * 128) / 255
    assert abs(done[8, 10:16] - mixed).max() <= 1


def test_a_window_may_stick_out() -> None:
    surround = Surround(width=2, height=2, rgb=bytes(12), mask=b"\xff" * 4, box=(-1, -1, 3, 3))
    window = Image.new("RGB", (4, 4), "white")
    assert surround.complete(window.tobytes(), 4, 4) == b"\xff" * 12
