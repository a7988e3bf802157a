from __future__ import annotations

import torch

from allaprima.paint.bases.sdxl.conditioning import guidance_embedding, size_ids


def test_sizes_are_height_first() -> None:
    assert size_ids(2, 96, 64, torch.device("cpu")).tolist() == [[64, 96, 0, 0, 64, 96]] * 2


def test_the_guidance_is_told_in_sines_and_cosines() -> None:
    told = guidance_embedding(1.0, 2, 8, torch.device("cpu"))
    assert told.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]] * 2
    assert guidance_embedding(8.0, 1, 9, torch.device("cpu")).shape == (1, 9)
