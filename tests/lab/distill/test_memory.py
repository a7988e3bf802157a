"""Large networks keep little for their gradients, and these are the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.lab.distill.test_learners import inputs
from tests.lab.distill.tiny import teacher, texts

from allaprima.lab.distill.learners import FAKE, STUDENT, LayerRanks, Learners
from allaprima.lab.distill.target_modules import find_target_modules, uniform_ranks

LARGE = ("qwen-image", "sdxl")


def gradients(family: str, *, fake: LayerRanks | None, sparing: bool) -> tuple[list[torch.Tensor], int]:
    """Those of a loss that asks the student, then others on the same network; and the numbers kept for them."""
    network = teacher(family)
    ranks = uniform_ranks(find_target_modules(network), 2)
    student = Learners(network, {STUDENT: ranks, FAKE: ranks if fake is None else None})
    with torch.no_grad():
        for name in (STUDENT, FAKE):
            for index, one in enumerate(student.learned(name)):
                one.add_(torch.randn(one.shape, generator=torch.Generator().manual_seed(index)), alpha=0.1)
    if not sparing:
        for wrapped in (network, *student.wholes.values()):
            model: Any = wrapped.network
            model.disable_gradient_checkpointing()
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x, t = inputs(family)
    text = texts(family).take([0, 1, 2])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        mine = student.predict(x, t, text)
        theirs = student.predict(x, t, text, FAKE)
        guided = student.guided(x, t, text, texts(family).empty(3), 2.0)
        loss = (mine - theirs).square().mean() + (mine - guided).square().mean()
    learned = [*student.learned(), *student.learned(FAKE)]
    weights = {one.untyped_storage().data_ptr() for one in student.parameters()}
    found = torch.autograd.grad(loss, learned, materialize_grads=True)
    return list(found), sum(size for where, size in kept.items() if where not in weights)


@pytest.mark.parametrize("fake", [None, {}], ids=["lora", "whole"])
@pytest.mark.parametrize("family", LARGE)
def test_gradients_are_those_of_a_network_that_keeps_everything(family: str, fake: LayerRanks | None) -> None:
    expected, all_of_it = gradients(family, fake=fake, sparing=False)
    found, little = gradients(family, fake=fake, sparing=True)
    assert any(bool(one.any()) for one in expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.equal(mine, theirs)
    assert little < all_of_it / 2
