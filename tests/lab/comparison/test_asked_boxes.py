from __future__ import annotations

import pytest
import torch
from tests.lab.evaluation.quick import RedFinder

from allaprima.core.layout import Box
from allaprima.lab.comparison.asked_boxes import (
    by_judge,
    by_matte,
    mean_overlap,
    overlap,
    placed_things,
    rendered,
)
from allaprima.lab.evaluation.judge import Judge
from allaprima.lab.scenes.sprites import SpriteCache


def red(*boxes: tuple[int, int, int, int]) -> torch.Tensor:
    picture = torch.zeros(3, 256, 256)
    for left, top, right, bottom in boxes:
        picture[0, top:bottom, left:right] = 1.0
    return picture


def test_the_overlap_of_two_boxes_is_their_share_of_both() -> None:
    one = Box(0.0, 0.0, 0.5, 1.0)
    assert overlap(one, one) == 1.0
    assert overlap(one, Box(0.25, 0.0, 0.75, 1.0)) == pytest.approx(1 / 3)
    assert overlap(one, Box(0.6, 0.0, 0.9, 1.0)) == 0.0


def test_a_mattes_box_leaves_specks_out() -> None:
    find = by_matte(RedFinder())
    box = Box(64 / 256, 32 / 256, 192 / 256, 224 / 256)
    assert find(red((64, 32, 192, 224)), "cat") == box
    assert find(red((64, 32, 192, 224), (2, 2, 4, 4)), "cat") == box
    assert find(red(), "cat") is None


def test_a_judges_box_is_larger_than_the_cells_it_is_sure_of(small_judge: Judge) -> None:
    cat = small_judge.config.kinds.index("cat")
    with torch.no_grad():
        bias = small_judge.cells.bias
        assert bias is not None
        small_judge.cells.weight.zero_()
        bias.zero_()
    find = by_judge(small_judge.eval())
    assert find(torch.zeros(3, 256, 256), "cat") is None
    with torch.no_grad():
        bias[1 + cat] = 50.0
    assert find(torch.zeros(3, 256, 256), "cat") == Box(0.0, 0.0, 1.0, 1.0)
    assert find(torch.zeros(3, 256, 256), "lion") is None


def test_things_are_asked_for_where_the_renderer_put_them(sprites: SpriteCache) -> None:
    placed = placed_things(6, sprites)
    assert len({one.thing.box for one in placed}) == 6
    for one, picture in zip(placed, rendered(placed, sprites), strict=True):
        assert one.asked.layout == (one.thing,)
        assert one.thing.kind == one.scene.subjects[0].kind
        assert picture.shape == (3, 256, 256)


def test_what_is_painted_elsewhere_overlaps_with_nothing(sprites: SpriteCache) -> None:
    placed = placed_things(2, sprites)
    found = iter([placed[0].thing.box, None])
    pictures = iter([torch.zeros(3, 256, 256)] * 2)
    share = mean_overlap(placed, pictures, lambda _picture, _kind: next(found))
    visible = Box(*(min(1.0, max(0.0, edge)) for edge in placed[0].thing.box))
    assert share == pytest.approx(overlap(placed[0].thing.box, visible) / 2)
