"""The map of a layout, in cases whose answer is known on paper, and the code of kinds."""

from __future__ import annotations

import torch
from tests.tabulated import tabulate
from tests.tiny_vignette import tiny_text_encoder
from torch import Tensor

from allaprima.core.layout import Box, Layout, Thing
from allaprima.paint.bases.vignette.layout import (
    CHANNELS,
    GAIN,
    KIND_WIDTH,
    KindCode,
    draw_map,
    pooled_states,
)

PER_LAYER = CHANNELS // 4
COVER, ACROSS, DOWN, LEFT_EDGE, WIDTH, NUMBER, COLOR, KIND, WHOLE = 0, 1, 2, 3, 7, 9, 10, 14, PER_LAYER - 1


def mapped(*layout: Thing, kinds: Tensor | None = None, whole: bool = False) -> Tensor:
    """The layers' channels (4, channels, 4, 4) of one layout on four by four cells."""
    kinds = torch.zeros(len(layout), KIND_WIDTH) if kinds is None else kinds
    drawn = draw_map(tabulate([layout], [kinds], whole=whole), 4, 4)
    assert drawn.shape == (1, CHANNELS, 4, 4)
    return drawn[0].unflatten(0, (4, PER_LAYER)) / GAIN  # type: ignore[no-untyped-call,no-any-return]


def cat(*box: float, **settings: object) -> Thing:
    return Thing(kind="cat", box=Box(*box), **settings)  # type: ignore[arg-type]


def test_nothing_told_is_all_zeros() -> None:
    assert not mapped().any()
    nothing: list[Layout] = [(), ()]
    assert not draw_map(tabulate(nothing, [torch.zeros(0, KIND_WIDTH)] * 2), 4, 4).any()


def test_a_cell_is_told_how_much_of_it_is_covered() -> None:
    subject = mapped(cat(0.125, 0.25, 0.5, 0.5))[0]
    assert subject[COVER].tolist() == [[0, 0, 0, 0], [0.5, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert not subject[:, 2:].any()


def test_a_cell_is_told_where_in_the_box_it_lies() -> None:
    subject = mapped(cat(0.0, 0.0, 0.5, 1.0))[0]
    assert subject[ACROSS, 0].tolist() == [-0.5, 0.5, 0, 0]
    assert subject[DOWN, :, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert subject[LEFT_EDGE, 0].tolist() == [0.125, 0.375, 0, 0]  # half a cell and one and a half, of four
    assert subject[WIDTH, 0].tolist() == [0.5, 0.5, 0, 0]


def test_a_box_may_reach_past_the_picture() -> None:
    subject = mapped(cat(-0.5, -0.5, 1.5, 1.5))[0]
    assert (subject[COVER] == 1).all()
    assert subject[WIDTH, 0, 0] == 2.0


def test_what_is_before_is_told_where_two_cover_a_cell() -> None:
    whole, left = cat(0.0, 0.0, 1.0, 1.0), cat(0.0, 0.0, 0.5, 1.0, number=1)
    assert mapped(whole, left)[0, NUMBER, 0].tolist() == [0.5, 0.5, 0.25, 0.25]
    assert mapped(left, whole)[0, NUMBER, 0].tolist() == [0.25] * 4


def test_layers_do_not_hide_each_other() -> None:
    layers = mapped(cat(0.0, 0.0, 1.0, 1.0, layer="ground"), cat(0.0, 0.0, 0.25, 0.25))
    assert (layers[3, COVER] == 1).all()
    assert layers[0, COVER].sum() == 1
    assert not layers[1:3].any()


def test_kind_and_color_are_told_where_the_thing_is() -> None:
    code = torch.arange(1.0, KIND_WIDTH + 1)[None]
    subject = mapped(cat(0.0, 0.0, 0.25, 0.25, color=(255, 0, 0)), kinds=code)[0]
    assert subject[KIND : KIND + KIND_WIDTH, 0, 0].tolist() == code[0].tolist()
    assert subject[COLOR : COLOR + 4, 0, 0].tolist() == [1, 1, -1, -1]
    assert not subject[:, 1:, 1:].any()


def test_a_layout_can_be_said_to_be_all_there_is() -> None:
    assert (mapped(whole=True)[:, WHOLE] == 1).all()
    assert not mapped(cat(0.0, 0.0, 1.0, 1.0))[:, WHOLE].any()


def test_pictures_with_fewer_things_are_as_they_are_alone() -> None:
    one, two = (cat(0.0, 0.0, 0.5, 0.5),), (cat(0.5, 0.0, 1.0, 0.5), cat(0.0, 0.5, 1.0, 1.0, layer="behind"))
    kinds = [torch.randn(len(layout), KIND_WIDTH) for layout in (one, two)]
    both = draw_map(tabulate([one, two], kinds), 4, 4)
    for row, (layout, code) in enumerate(zip((one, two), kinds, strict=True)):
        assert torch.equal(both[row : row + 1], draw_map(tabulate([layout], [code]), 4, 4))


def test_each_number_varies_by_one() -> None:
    names = torch.randn(200, 32, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 33.0)
    code = KindCode(32)
    code.measure(names)
    coded = code(names)
    assert coded.shape == (200, KIND_WIDTH)
    torch.testing.assert_close(coded.mean(0), torch.zeros(KIND_WIDTH), atol=1e-4, rtol=0)
    torch.testing.assert_close(coded.std(0, correction=0), torch.ones(KIND_WIDTH), atol=1e-3, rtol=0)


def test_few_names_leave_numbers_empty() -> None:
    code = KindCode(32)
    code.measure(torch.randn(3, 32, generator=torch.Generator().manual_seed(0)))
    assert code.directions[:2].any(1).all()
    assert not code.directions[2:].any()


def test_marks_and_padding_are_left_out_of_a_names_mean() -> None:
    text = tiny_text_encoder()
    cat, longer = pooled_states(["cat", "a cat beside a dog"], text)
    encoded = text.encode(["cat"])
    count = int(encoded.mask.sum())
    torch.testing.assert_close(cat, encoded.states[0, 1 : count - 1].float().mean(0))
    assert not torch.allclose(cat, longer)
