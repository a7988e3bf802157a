"""How grids are drawn."""

from __future__ import annotations

import pytest
from PIL import Image

from allaprima.core.errors import RequestError
from allaprima.core.grid import Axis, plan_cells
from allaprima.core.grid_sheet import check_sheet, draw_sheet


def test_cells_stand_where_their_values_say() -> None:
    axes = (Axis.parse("seed=1,2"), Axis.parse("steps=1..3"), Axis.parse("guidance=1,2"))
    cells = plan_cells(axes)
    assert cells[:3] == [(1, 1, 1.0), (2, 1, 1.0), (1, 2, 1.0)]
    colours = [(seed * 80, steps * 60, int(guidance) * 90) for seed, steps, guidance in cells]
    sheet = draw_sheet(axes, [Image.new("RGB", (64, 64), colour) for colour in colours]).image
    found = [colour for _, colour in sheet.getcolors(2**20) or [] if colour in colours]
    assert sorted(found) == sorted(colours)
    places = {colour: sheet_place(sheet, colour) for colour in colours}
    assert places[colours[0]][0] < places[colours[1]][0]
    assert places[colours[0]][1] == places[colours[1]][1]
    assert places[colours[0]][1] < places[colours[2]][1] < places[colours[6]][1]


def sheet_place(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int]:
    pixels = sheet.load()
    assert pixels is not None
    return next((x, y) for y in range(sheet.height) for x in range(sheet.width) if pixels[x, y] == colour)


def test_long_labels_are_cut_and_a_missing_picture_is_left_blank() -> None:
    axes = (Axis.parse("prompt=" + "a very long prompt about a cat " * 40 + "; a dog"),)
    sheet = draw_sheet(axes, [Image.new("RGB", (64, 64)), None]).image
    assert sheet.width == 2 * 72
    assert sheet.height < 400
    assert (224, 224, 224) in {colour for _, colour in sheet.getcolors(2**20) or []}


def test_letters_that_no_font_has_are_told() -> None:
    axes = (Axis.parse("prompt=a cat; \U00012000"),)
    assert draw_sheet(axes, [None, None]).unshown in ((), ("\U00012000",))
    assert draw_sheet((Axis.parse("prompt=café;Ł"),), [None, None]).unshown == ()


def test_sheets_are_bounded() -> None:
    check_sheet((Axis.parse("seed=1..10"),), (1024, 1024))
    with pytest.raises(RequestError, match="got a grid of about"):
        check_sheet((Axis.parse("seed=1..20"), Axis.parse("steps=1..20")), (1024, 1024))
