"""Pairs of pictures for people to choose from, without saying which weights painted which.

`pair-01.png` holds A on the left and B on the right; `prompts.json` says what was asked for. Which is which lies in
a file beside the folder, so that whoever rates never comes across it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from allaprima.core.errors import OutputError
from allaprima.core.files import make_folder, write_whole
from allaprima.lab.comparison.asked_pictures import AskedPicture

GAP = 16
"""Pixels between the two, white."""
SCALE = 2
"""How many times as large each is shown, by whole pixels."""


def write_pairs(
    folder: Path, asked: Sequence[AskedPicture], new: Iterable[Tensor], old: Iterable[Tensor], seed: int = 0
) -> Path:
    """Write the pairs into a new folder and return where the key is: `new` or `old` for A, by pair.

    Args:
        folder: must not be there, or be empty.
        asked: what was painted.
        new: pictures (3, H, W) in [0, 1] of the one side.
        old: those of the other.
        seed: of the order.

    Raises:
        OutputError: something lies in the folder, or it cannot be written.
    """
    make_folder(folder)
    if any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty; expected a new folder, so that no pairs are mixed up")
    order, key = random.Random(f"pairs {seed}"), {}
    prompts = {}
    for index, (one, mine, other) in enumerate(zip(asked, new, old, strict=True), 1):
        name = f"pair-{index:02}"
        is_new_left = order.random() < 0.5
        key[name], prompts[name] = "new" if is_new_left else "old", one.prompt
        _side_by_side(mine, other, is_new_left=is_new_left).save(folder / f"{name}.png")
    write_whole(folder / "prompts.json", _json(prompts), overwrite=True)
    path = folder.with_name(f"{folder.name}-key.json")
    write_whole(path, _json({"A": key}), overwrite=True)
    return path


def _side_by_side(new: Tensor, old: Tensor, *, is_new_left: bool) -> Image.Image:
    left, right = (new, old) if is_new_left else (old, new)
    gap = torch.ones(3, left.shape[1], GAP)
    row = torch.cat([left, gap, right], dim=2).permute(1, 2, 0).mul(255).round().to(torch.uint8)
    image = Image.fromarray(row.numpy())
    return image.resize((SCALE * image.width, SCALE * image.height), Image.Resampling.NEAREST)


def _json(data: object) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()
