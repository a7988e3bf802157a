from __future__ import annotations

import numpy as np
import pytest

from allaprima.core.errors import RequestError
from allaprima.core.outpaint import Margins, plan_windows


def test_margins_are_text_and_data() -> None:
    margins = Margins.parse("left=64, top=32")
    assert margins == Margins(left=64, top=32) == Margins.of({"left": 64, "top": 32}) == Margins.of(margins)
    assert str(margins) == "left=64,top=32"
    assert Margins.parse(str(margins)) == margins
    assert margins.extend(256, 256) == (320, 288)


@pytest.mark.parametrize(
    "text", ["", "left", "left=", "left=-1", "up=3", "left=1,left=2x", "left=1.5", "left=0"]
)
def test_what_is_no_margin_is_refused(text: str) -> None:
    with pytest.raises(
        RequestError, match="expected left, top, right and bottom in pixels, such as left=64,top=32"
    ):
        Margins.parse(text)


def test_a_side_twice_too_wide_or_unknown_is_refused() -> None:
    with pytest.raises(RequestError, match=r"got outpaint .left=1,left=2.; expected left, top"):
        Margins.parse("left=1,left=2")
    with pytest.raises(RequestError, match="got left 5000; expected 0 to 4096 pixels"):
        Margins(left=5000)
    with pytest.raises(RequestError, match="expected left, top"):
        Margins.of({"up": 3})
    with pytest.raises(RequestError, match="got left True"):
        Margins(left=True)


@pytest.mark.parametrize(
    ("margins", "picture", "window"),
    [
        (Margins(left=64), (256, 256), (256, 256)),
        (Margins(left=64, top=32), (256, 256), (256, 256)),
        (Margins(left=700, bottom=300), (300, 200), (256, 128)),
        (Margins(left=10, right=10, top=10, bottom=10), (1000, 600), (256, 256)),
    ],
)
def test_windows_cover_what_is_new_and_see_what_is_known(
    margins: Margins, picture: tuple[int, int], window: tuple[int, int]
) -> None:
    width, height = margins.extend(*picture)
    known = np.zeros((height, width), bool)
    known[margins.top : margins.top + picture[1], margins.left : margins.left + picture[0]] = True
    for left, top, right, bottom in plan_windows(margins, picture, window):
        assert (right - left, bottom - top) == window
        seen = known[max(top, 0) : bottom, max(left, 0) : right]
        assert seen.mean() >= 0.45
        assert not seen.all()
        seen[:] = True
    assert known.all()


def test_a_canvas_smaller_than_a_window_is_one_window_that_sticks_out() -> None:
    assert plan_windows(Margins(left=64), (100, 100), (256, 256)) == [(-46, -78, 210, 178)]


def test_one_side_is_one_window_where_it_fits() -> None:
    assert plan_windows(Margins(left=64), (256, 256), (256, 256)) == [(0, 0, 256, 256)]
