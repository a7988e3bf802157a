from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.tiny import SteadyBase

from allaprima.core.picture import Picture
from allaprima.lab.evaluation.inpainting import CASES, measure_inpainting
from allaprima.paint.painter import Painter


class Leaky(Painter):
    """A painter that changes one pixel in a corner, where every mask keeps."""

    def __call__(self, prompt: str, **given: Any) -> Picture:  # type: ignore[override]
        picture: Picture = super().__call__(prompt, **given)
        return replace(picture, rgb=bytes([picture.rgb[0] ^ 1]) + picture.rgb[1:])


def test_what_lies_outside_the_mask_is_counted() -> None:
    seen: list[int] = []
    (row,) = measure_inpainting(Painter(base=SteadyBase()), lambda _what, done, _total: seen.append(done))
    assert (row.value, row.must, row.state) == (0.0, 0.0, "reached")
    assert seen[-1] == len(CASES)


def test_a_painter_that_spills_is_short() -> None:
    (row,) = measure_inpainting(Leaky(base=SteadyBase()))
    assert (row.value, row.state) == (float(len(CASES)), "short")
