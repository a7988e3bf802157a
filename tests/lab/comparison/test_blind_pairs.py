from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from allaprima.core.errors import OutputError
from allaprima.lab.comparison.asked_pictures import AskedPicture
from allaprima.lab.comparison.blind_pairs import write_pairs

ASKED = [AskedPicture(prompt=f"a cat {number}", seed=number) for number in range(12)]


def test_the_key_tells_which_is_which_and_nothing_else_does(tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    key = write_pairs(folder, ASKED, [torch.ones(3, 8, 8)] * 12, [torch.zeros(3, 8, 8)] * 12)
    assert key.parent == tmp_path
    left = json.loads(key.read_text())["A"]
    assert set(left.values()) == {"new", "old"}
    for name, which in left.items():
        picture = Image.open(folder / f"{name}.png")
        assert not picture.info
        assert picture.getpixel((0, 0)) == ((255,) * 3 if which == "new" else (0,) * 3)
    assert json.loads((folder / "prompts.json").read_text())["pair-12"] == "a cat 11"


def test_pairs_are_not_mixed_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty"):
        write_pairs(tmp_path, ASKED, [], [])
