"""Layouts in a training's memory, whole and after dropout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.lab.training.layouts_of_three import FRAMED, HOUSE, LAYOUTS, resident
from tests.tabulated import tabulate

from allaprima.core.layout import Layout
from allaprima.lab.training.layouts import LayoutStore, write_layouts
from allaprima.lab.training.loop import Draw
from allaprima.lab.training.resident_layouts import LayoutDropout, drop_pieces
from allaprima.paint.bases.vignette.layout import ABSENT, KIND_WIDTH, LayoutTable, draw_map

NONE = {"nothing": 0.0, "everything": 0.0, "subjects": 0.0}
KEEP = {"no_kinds": 0.0, "no_colors": 0.0, "no_parts": 0.0, "no_numbers": 0.0}


def test_tables_of_a_training_are_those_of_painting(tmp_path: Path) -> None:
    write_layouts(tmp_path, FRAMED)
    (tmp_path / "other").mkdir()
    write_layouts(tmp_path / "other", [("scene", (HOUSE,))])
    layouts = resident(tmp_path, tmp_path / "other")
    assert len(layouts) == 4
    kinds = dict(zip(sorted(LayoutStore.open(tmp_path).kinds), layouts.kinds, strict=True))
    asked: list[Layout] = [(HOUSE,), *LAYOUTS[:2]]
    codes = [
        torch.stack([kinds[thing.kind] for thing in layout]) if layout else torch.zeros(0, KIND_WIDTH)
        for layout in asked
    ]
    painted = draw_map(tabulate(asked, codes, whole=True), 16, 16)
    trained = draw_map(layouts.table(torch.tensor([3, 0, 1])), 16, 16)
    torch.testing.assert_close(painted, trained)


def draw(batch: int, step: int = 0) -> Draw:
    generator = torch.Generator().manual_seed(step)
    return Draw(step=step, batch_size=batch, device=torch.device("cpu"), generator=generator)


def drop(table: LayoutTable, dropout: LayoutDropout) -> LayoutTable:
    """Drop pieces of pictures whose things have a usual place."""
    count = len(table.layers)
    return drop_pieces(table, dropout, draw(count), torch.zeros(count, dtype=torch.bool))


def test_everything_can_be_kept_and_nothing(tmp_path: Path) -> None:
    write_layouts(tmp_path, FRAMED)
    table = resident(tmp_path).table(torch.tensor([0, 2]))
    everything = drop(table, LayoutDropout(**{**NONE, **KEEP, "everything": 1.0}))
    assert torch.equal(draw_map(everything, 16, 16), draw_map(table, 16, 16))
    nothing = drop(table, LayoutDropout(**{**NONE, **KEEP, "nothing": 1.0}))
    assert not draw_map(nothing, 16, 16).any()


def test_each_piece_is_dropped_by_itself(tmp_path: Path) -> None:
    write_layouts(tmp_path, FRAMED)
    table = resident(tmp_path).table(torch.zeros(400, dtype=torch.long))
    pieces = drop(table, LayoutDropout(**{**NONE, **KEEP}))
    kept = (pieces.layers != ABSENT)[:, :4]
    assert len({tuple(row) for row in kept.tolist()}) == 16
    assert 0.4 < kept.float().mean() < 0.6
    assert not pieces.whole.any()
    subjects = drop(table, LayoutDropout(**{**NONE, **KEEP, "subjects": 1.0}))
    assert (subjects.layers[:, :4] == torch.tensor([ABSENT, ABSENT, 0, 1])).all()
    assert 0.3 < subjects.whole[:, 0].mean() < 0.7
    assert not subjects.whole[:, 1:].any()


def test_kinds_colors_parts_and_numbers_may_be_dropped(tmp_path: Path) -> None:
    write_layouts(tmp_path, FRAMED)
    table = resident(tmp_path).table(torch.zeros(50, dtype=torch.long))
    everything = {**NONE, **KEEP, "everything": 1.0}
    assert not drop(table, LayoutDropout(**{**everything, "no_kinds": 1.0})).kinds.any()
    assert (drop(table, LayoutDropout(**{**everything, "no_colors": 1.0})).colors < 0).all()
    assert (drop(table, LayoutDropout(**{**everything, "no_numbers": 1.0})).numbers == -1).all()
    bare = drop(table, LayoutDropout(**{**everything, "no_parts": 1.0}))
    assert not (bare.layers == 1).any()
    assert bare.whole[0].tolist() == [1, 0, 1, 1]


def test_subjects_that_may_be_anywhere_are_kept(tmp_path: Path) -> None:
    write_layouts(tmp_path, FRAMED)
    layouts = resident(tmp_path)
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
