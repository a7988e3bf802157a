"""Marks that see whatever happens to a weight."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from allaprima.paint.bases.vignette.weight_marks import SIDE, WeightMarks, have_hooks


def write(layer: nn.Linear) -> None:
    with torch.no_grad():
        layer.weight.mul_(2.0)


def move(layer: nn.Linear) -> None:
    layer.weight.data = layer.weight.data.clone()


def put_a_lora_on(layer: nn.Linear) -> None:
    vars(layer)[SIDE] = object()


@pytest.mark.parametrize("change", [write, move, nn.Linear.half, put_a_lora_on])
def test_a_change_is_seen(change: Callable[[nn.Linear], object]) -> None:
    layer = nn.Linear(4, 4)
    marks = WeightMarks([layer])
    marks.hold()
    assert marks
    change(layer)
    assert not marks


def test_a_hook_is_seen_while_it_is_there() -> None:
    layer = nn.Linear(4, 4)
    marks = WeightMarks([layer])
    with layer.register_forward_pre_hook(lambda *_: None):
        assert have_hooks([layer])
        assert not marks.are_plain
    assert marks
