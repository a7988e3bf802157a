"""Dropout of layouts: everything, nothing, and each piece by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.lab.training.layouts_of_three import resident

from allaprima.lab.training.layout_dropout import LayoutDropout, drop_pieces
from allaprima.lab.training.layouts import LayoutStore
from allaprima.lab.training.loop import Draw
from allaprima.paint.layout.lattice import ABSENT, draw_map

NONE = {"nothing": 0.0, "everything": 0.0, "subjects": 0.0}
KEEP = {"no_kinds": 0.0, "no_colors": 0.0, "no_parts": 0.0, "no_numbers": 0.0}


def draw(batch: int, step: int = 0) -> Draw:
    generator = torch.Generator().manual_seed(step)
    return Draw(step=step, batch_size=batch, device=torch.device("cpu"), generator=generator)


def test_everything_can_be_kept_and_nothing(layout_store: LayoutStore) -> None:
    table = resident(layout_store).table(torch.tensor([0, 2]))
    everything = drop_pieces(table, LayoutDropout(**{**NONE, **KEEP, "everything": 1.0}), draw(2))
    assert torch.equal(draw_map(everything, 16, 16), draw_map(table, 16, 16))
    nothing = drop_pieces(table, LayoutDropout(**{**NONE, **KEEP, "nothing": 1.0}), draw(2))
    assert not draw_map(nothing, 16, 16).any()


def test_each_piece_is_dropped_by_itself(layout_store: LayoutStore) -> None:
    table = resident(layout_store).table(torch.zeros(400, dtype=torch.long))
    pieces = drop_pieces(table, LayoutDropout(**{**NONE, **KEEP}), draw(400))
    kept = (pieces.layers != ABSENT)[:, :4]
    assert len({tuple(row) for row in kept.tolist()}) == 16
    assert 0.4 < kept.float().mean() < 0.6
    assert not pieces.whole.any()
    subjects = drop_pieces(table, LayoutDropout(**{**NONE, **KEEP, "subjects": 1.0}), draw(400))
    assert (subjects.layers[:, :4] == torch.tensor([ABSENT, ABSENT, 0, 1])).all()
    assert 0.3 < subjects.whole[:, 0].mean() < 0.7
    assert not subjects.whole[:, 1:].any()


def test_kinds_colors_parts_and_numbers_may_be_dropped(layout_store: LayoutStore) -> None:
    table = resident(layout_store).table(torch.zeros(50, dtype=torch.long))
    everything = {**NONE, **KEEP, "everything": 1.0}
    assert not drop_pieces(table, LayoutDropout(**{**everything, "no_kinds": 1.0}), draw(50)).kinds.any()
    assert (drop_pieces(table, LayoutDropout(**{**everything, "no_colors": 1.0}), draw(50)).colors < 0).all()
    assert (
        drop_pieces(table, LayoutDropout(**{**everything, "no_numbers": 1.0}), draw(50)).numbers == -1
    ).all()
    bare = drop_pieces(table, LayoutDropout(**{**everything, "no_parts": 1.0}), draw(50))
    assert not (bare.layers == 1).any()
    assert bare.whole[0].tolist() == [1, 0, 1, 1]


def test_subjects_that_may_be_anywhere_are_kept(layout_store: LayoutStore) -> None:
    layouts = resident(layout_store)
    assert layouts.anywhere.tolist() == [False, False, True]
    picked = torch.tensor([0, 2]).repeat(50)
    for way in ({"nothing": 1.0}, {}):
        dropout = LayoutDropout(**{**NONE, **KEEP, **way})
        table = drop_pieces(layouts.table(picked), dropout, draw(100), layouts.anywhere[picked])
        has_subject = (table.layers == 0).any(1)
        assert has_subject[1::2].all()
        assert not has_subject[::2].all()


def test_shares_of_more_than_the_whole_are_refused() -> None:
    with pytest.raises(ValueError, match="sum of at most 1"):
        replace(LayoutDropout(), nothing=0.9)
