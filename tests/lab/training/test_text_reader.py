"""The reader of states."""

from __future__ import annotations

import random

import torch

from allaprima.lab.training.text_examples import (
    draw_example,
)
from allaprima.lab.training.text_reader import (
    SceneReader,
    collate_labels,
    count_right,
    reading_losses,
)


def test_a_reader_reads_what_is_there() -> None:
    rng = random.Random(2)
    examples = [draw_example(seed, rng, None) for seed in range(8)]
    labels = collate_labels(examples)
    reader = SceneReader(32)
    states, mask = torch.randn(8, 5, 32), torch.ones(8, 5, dtype=torch.bool)
    reading = reader(states, mask, labels.rows, labels.subject_kinds)
    right = count_right(reading, labels)
    assert right["kinds"].total == 8
    assert all(0 <= tally.right <= tally.total for tally in right.values())
    total = torch.stack(list(reading_losses(reading, labels).values())).sum()
    assert torch.isfinite(total)
