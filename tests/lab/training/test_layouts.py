"""Layouts on disk: they come back as they were, and damaged ones are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.lab.training.layouts_of_three import FRAMED, LAYOUTS, layout_of

from allaprima.core.errors import AssetError
from allaprima.lab.training.layouts import LayoutStore, copy_layouts, write_layouts


def test_layouts_come_back_as_they_were(layout_store: LayoutStore, tmp_path: Path) -> None:
    assert [layout_of(layout_store, index) for index in range(3)] == LAYOUTS
    (tmp_path / "part").mkdir()
    copy_layouts(tmp_path, range(1, 3), tmp_path / "part")
    part = LayoutStore.open(tmp_path / "part")
    assert [layout_of(part, index) for index in range(2)] == LAYOUTS[1:]
    assert part.kinds == layout_store.kinds
    assert len(part.things) == 2
    assert part.framings.tolist() == [1, 2]


def test_folders_without_layouts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="does not say what stands where"):
        LayoutStore.open(tmp_path)
    write_layouts(tmp_path, FRAMED)
    np.save(tmp_path / "things.npy", np.zeros((1, 10), np.float32))
    with pytest.raises(AssetError, match="build it anew"):
        LayoutStore.open(tmp_path)
