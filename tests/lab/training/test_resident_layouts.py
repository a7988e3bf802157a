"""Layouts in a training's memory: their tables are those that paint."""

from __future__ import annotations

from pathlib import Path

import torch
from tests.lab.training.layouts_of_three import HOUSE, LAYOUTS, resident

from allaprima.core.layout import Layout
from allaprima.lab.training.layouts import LayoutStore, write_layouts
from allaprima.lab.training.resident_layouts import all_kinds
from allaprima.paint.layout.lattice import KIND_WIDTH, draw_map, tabulate


def test_tables_of_a_training_are_those_of_painting(layout_store: LayoutStore, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    write_layouts(tmp_path / "other", [("scene", (HOUSE,))])
    layouts = resident(layout_store, LayoutStore.open(tmp_path / "other"))
    assert len(layouts) == 4
    kinds = dict(zip(all_kinds([layout_store]), layouts.kinds, strict=True))
    asked: list[Layout] = [(HOUSE,), *LAYOUTS[:2]]
    codes = [
        torch.stack([kinds[thing.kind] for thing in layout]) if layout else torch.zeros(0, KIND_WIDTH)
        for layout in asked
    ]
    painted = draw_map(tabulate(asked, codes, whole=True), 16, 16)
    trained = draw_map(layouts.table(torch.tensor([3, 0, 1])), 16, 16)
    torch.testing.assert_close(painted, trained)
