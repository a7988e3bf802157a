"""Pictures that were worn a little."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

from allaprima.lab.evaluation.worn_accessories import wear_picture


def test_wear_is_a_function_of_its_randomness_and_stays_a_picture() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    worn = [wear_picture(picture, random.Random(seed)) for seed in range(20)]
    again = [wear_picture(picture, random.Random(seed)) for seed in range(20)]
    assert all(one.tobytes() == two.tobytes() for one, two in zip(worn, again, strict=True))
    assert {(one.size, one.mode) for one in worn} == {((64, 64), "RGB")}
    changed = sum(one.tobytes() != picture.tobytes() for one in worn)
    assert 8 <= changed < 20
