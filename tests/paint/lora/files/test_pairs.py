from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save as to_bytes
from tests.paint.lora.files.bad_files import (
    Q_ALPHA,
    Q_DOWN,
    Q_UP,
    TENSORS,
    refused,
)


@pytest.mark.parametrize("alpha", [float("nan"), float("inf"), 1e35, -1e38])
def test_an_alpha_out_of_reach(tmp_path: Path, alpha: float) -> None:
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, Q_ALPHA: torch.tensor(alpha)}))


SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 17), (16, 2)), ((2, 16), (17, 2)), ((3, 16), (16, 2)), ((2, 16), (16, 3)), ((16, 2), (2, 16)),
    ((2,), (16, 2)), ((2, 16), (16,)), ((2, 16, 3, 3), (16, 2, 1, 1)), ((2, 16, 1, 1), (16, 2, 3, 3)),
    ((1, 2, 16), (1, 16, 2)), ((32,), (32,)), ((2, 8), (8, 2)), ((2, 3072), (3072, 2)), ((), ()),
    ((2, 4, 4), (16, 2)), ((2, 16), (4, 4, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("down", "up"), SHAPES, ids=str)
def test_halves_of_the_wrong_shape(tmp_path: Path, down: tuple[int, ...], up: tuple[int, ...]) -> None:
    shaped = {Q_DOWN: torch.ones(down), Q_UP: torch.ones(up)}
    refused(tmp_path / "a.safetensors", to_bytes({**TENSORS, **shaped}))
