"""Layouts with any names: a name in another layout or order means the same."""

from __future__ import annotations

from pathlib import Path

import torch
from tests.tiny_vignette import WIDTH, write_tiny_vignette

from allaprima.core.layout import Box, Thing
from allaprima.paint.bases.vignette.layout import kind_codes, layout_map, pooled_states
from allaprima.paint.bases.vignette.text import TextEncoder
from allaprima.paint.layout.kinds import KindCode
from allaprima.paint.layout.lattice import CHANNELS

CAT = Thing(kind="cat", box=Box(0.0, 0.0, 0.5, 0.5))
DOG = Thing(kind="dog", box=Box(0.5, 0.5, 1.0, 1.0))


def test_each_picture_has_its_own_things(tmp_path: Path) -> None:
    text = TextEncoder.from_file(write_tiny_vignette(tmp_path) / "text.safetensors")
    code = KindCode(WIDTH)
    code.measure(pooled_states(["cat", "dog", "tree", "猫"], text))
    assert kind_codes([], text, code) == {}
    both = layout_map([(CAT, DOG), (), (DOG,)], text, code, height=4, width=6)
    assert both.shape == (3, CHANNELS, 4, 6)
    assert not both[1].any()
    torch.testing.assert_close(both[2, :, 2:], both[0, :, 2:])
    assert not torch.allclose(both[0, :, :2, :3], both[0, :, 2:, 3:])
