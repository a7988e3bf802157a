"""Boxes and things: what is refused, and where a part of a thing is."""

from __future__ import annotations

import math

import pytest

from allaprima.core.layout import Box, Thing


def test_a_part_moves_and_grows_with_its_thing() -> None:
    hat = Box(0.25, 0.0, 0.75, 0.5)
    assert hat.within(Box(0.0, 0.0, 1.0, 1.0)) == hat
    assert hat.within(Box(0.5, 0.5, 0.75, 1.0)) == Box(0.5625, 0.5, 0.6875, 0.75)


@pytest.mark.parametrize("box", [(0.5, 0.0, 0.5, 1.0), (0.0, 1.0, 1.0, 0.0), (0.0, 0.0, math.nan, 1.0)])
def test_what_is_no_box_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="expected left < right"):
        Thing(kind="cat", box=Box(*box))


def test_unknown_layers_and_numbers_are_refused() -> None:
    box = Box(0.0, 0.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="expected one of subject, part, behind, ground"):
        Thing(kind="cat", box=box, layer="above")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected 0 or more"):
        Thing(kind="cat", box=box, number=-1)
