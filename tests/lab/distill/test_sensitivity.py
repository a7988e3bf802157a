"""Sensitivity finds what a loss wants, and ranks go where a parameter gains most."""

from __future__ import annotations

import pytest
import torch
from tests.lab.distill.tiny import inputs, teacher, texts

from allaprima.lab.distill.learners import STUDENT, Learners
from allaprima.lab.distill.sensitivity import Sensitivity, _spectrum, allot, measure_sensitivity
from allaprima.lab.distill.target_modules import (
    find_target_modules,
    num_parameters,
    uniform_ranks,
)


def test_sensitivity_finds_what_the_loss_wants_and_the_budget_holds() -> None:
    network = teacher("vignette")
    sites = find_target_modules(network)
    student = Learners(network, {STUDENT: {}})
    x, t = inputs("vignette")
    text = texts("vignette").take([0, 1, 2])

    def loss(number: int) -> torch.Tensor:
        return (student.predict(x + number, t, text) - x).square().mean()

    found = measure_sensitivity(network, sites, loss, batches=2)
    again = measure_sensitivity(network, sites, loss, batches=2)
    assert found.spectra.keys() == {site.path for site in sites}
    for path, values in found.spectra.items():
        assert values == pytest.approx(again.spectra[path], rel=1e-3, abs=1e-6)
    assert not any(one.requires_grad or one.grad is not None for one in network.parameters())
    dead = [path for path, values in found.spectra.items() if not values]
    assert dead == [path for path in dead if ".1." in path and ("txt_" in path or "add" in path)]
    assert dead  # the last block's text leads nowhere
    budget = num_parameters(sites, uniform_ranks(sites, 4)) // 3
    ranks = allot(sites, found, budget)
    assert 0 < num_parameters(sites, ranks) <= budget
    assert not set(ranks) & set(dead)
    assert set(ranks.values()) <= {4, 8, 16}


def test_ranks_go_where_a_parameter_gains_most() -> None:
    sites = [
        site
        for site in find_target_modules(teacher("vignette"))
        if site.path.endswith(("add_k_proj", "add_v_proj"))
    ]
    spectra = {site.path: (0.1,) * 16 for site in sites} | {
        sites[0].path: tuple(10.0 / n for n in range(1, 17))
    }
    ranks = allot(sites, Sensitivity(spectra=spectra), sites[0].cost * 16 + sites[1].cost * 4)
    assert ranks[sites[0].path] == 16
    assert sum(ranks.values()) == 20
    # One direction that all of a gradient lies in is walked no faster by Adam than each of several.
    narrow, broad = {sites[0].path: (10.0, *[0.0] * 15)}, {sites[1].path: (4.0,) * 16}
    ranks = allot(sites, Sensitivity(spectra=narrow | broad), sites[0].cost * 4)
    assert ranks == {sites[1].path: 4}


def test_spectra_of_large_layers_are_the_same_each_time_and_near_the_exact_ones() -> None:
    torch.manual_seed(0)
    gradient = torch.randn(1100, 64) @ torch.randn(64, 1100) / 30 + 0.1 * torch.randn(1100, 1100)
    first = _spectrum(gradient)
    torch.rand(5)
    assert _spectrum(gradient) == first
    exact = torch.linalg.svdvals(gradient)[: len(first)].square().sum()
    assert float(torch.tensor(first).square().sum()) == pytest.approx(float(exact), rel=0.01)
