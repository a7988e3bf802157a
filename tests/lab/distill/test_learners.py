"""Learners: a fresh LoRA is its teacher, guidance and the empty prompt are what they say, memory is spared."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.lab.distill.tiny import (
    FAMILIES,
    inputs,
    teacher,
    texts,
)

from allaprima.lab.distill.learners import FAKE, STUDENT, TEACHER, LayerRanks, Learners
from allaprima.lab.distill.target_modules import (
    find_target_modules,
    uniform_ranks,
)

LARGE = ("qwen-image", "sdxl")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_lora_and_a_copy_are_their_teacher(family: str) -> None:
    x, t = inputs(family)
    text = texts(family).take([0, 1, 2])
    with torch.no_grad():
        bare = teacher(family)(x, t, text)
        network = teacher(family)
        student = Learners(network, {STUDENT: uniform_ranks(find_target_modules(network), 2), FAKE: None})
        for name in (TEACHER, STUDENT, FAKE):
            assert torch.equal(student.predict(x, t, text, name), bare)


@pytest.mark.parametrize("family", FAMILIES)
def test_two_loras_on_one_network_do_not_see_each_other(family: str) -> None:
    x, t = inputs(family)
    text = texts(family).take([0, 1, 2])
    network = teacher(family)
    ranks = uniform_ranks(find_target_modules(network), 2)
    student = Learners(network, {STUDENT: ranks, FAKE: ranks})
    with torch.no_grad():
        before = student.predict(x, t, text, TEACHER)
        for parameter in student.learned(FAKE):
            parameter.add_(0.1)
        assert torch.equal(student.predict(x, t, text), before)
        assert not torch.allclose(student.predict(x, t, text, FAKE), before)
        assert torch.equal(student.predict(x, t, text, TEACHER), before)
    learned = {id(one) for name in (STUDENT, FAKE) for one in student.learned(name)}
    assert {id(one) for one in student.parameters() if one.requires_grad} == learned


@pytest.mark.parametrize("family", FAMILIES)
def test_guidance_is_really_in_the_teacher(family: str) -> None:
    x, t = inputs(family)
    known = texts(family)
    text, empty = known.take([0, 1, 2]), known.empty(3)
    student = Learners(teacher(family), {})
    guided = student.guided(x, t, text, empty, 4.0)
    with torch.no_grad():
        conditioned = student.network(x, t, text)
        unconditioned = student.network(x, t, empty)
    expected = student.network.combine(conditioned, unconditioned, 4.0)
    assert torch.allclose(guided, expected, atol=1e-4)
    assert (guided - conditioned).abs().max() > 1e-3
    assert torch.allclose(student.guided(x, t, text, empty, 1.0), conditioned)
    each = student.guided(x, t, text, empty, torch.tensor([4.0, 4.0, 4.0]))
    assert torch.allclose(each, guided, atol=1e-5)


def test_the_empty_prompt_is_an_encoded_one_and_not_zeros() -> None:
    x, t = inputs("vignette")
    known = texts("vignette")
    text, empty = known.take([0, 1, 2]), known.empty(3)
    assert bool(empty.states[empty.mask].any())
    zeros = type(empty)(states=torch.zeros_like(empty.states), mask=empty.mask)
    student = Learners(teacher("vignette"), {})
    assert not torch.allclose(
        student.guided(x, t, text, empty, 4.0), student.guided(x, t, text, zeros, 4.0), atol=1e-3
    )


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


@pytest.mark.parametrize("family", FAMILIES)
def test_what_learns_on_narrow_weights_is_wide_and_moves(family: str) -> None:
    network = teacher(family).to(torch.bfloat16)
    student = Learners(network, {STUDENT: uniform_ranks(find_target_modules(network), 2), FAKE: None})
    learned = student.learned() + student.learned(FAKE)
    assert {one.dtype for one in learned} == {torch.float32}
    x, t = inputs(family)
    text = texts(family).take([0, 1, 2])
    before = [one.detach().clone() for one in student.learned()]
    optimizer = torch.optim.AdamW(student.learned(), lr=1e-5, weight_decay=0.0)
    for _ in range(2):  # the first matrix has no gradient while the second is zero
        loss = (student.predict(x, t, text) - x).square().mean()
        torch.autograd.backward(loss, inputs=list(student.learned()))
        optimizer.step()
        optimizer.zero_grad()
    moved = [(one != old)[one != 0] for one, old in zip(student.learned(), before, strict=True)]
    assert (
        torch.cat([one.flatten() for one in moved]).float().mean() > 0.9
    )  # the last block's text leads nowhere
