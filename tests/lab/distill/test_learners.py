"""Students: a fresh LoRA is its teacher, names are diffusers', guidance and the empty prompt are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from tests.lab.distill.tiny import FAMILIES, SHAPES, teacher, texts

from allaprima.lab.distill.learners import FAKE, STUDENT, TEACHER, Learners
from allaprima.lab.distill.lora_file import StudentInfo, write_student
from allaprima.lab.distill.sensitivity import Sensitivity, allot, measure_sensitivity
from allaprima.lab.distill.target_modules import (
    find_target_modules,
    num_parameters,
    pattern_ranks,
    uniform_ranks,
)
from allaprima.paint.lora.files.reader import read_lora


def inputs(family: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents and times for three prompts."""
    x = torch.randn(3, *SHAPES[family], generator=torch.Generator().manual_seed(2))
    return x, teacher(family).process.times(torch.tensor([0.9, 0.5, 0.2]))


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


def test_text_sites_of_an_mmdit_and_of_a_unet() -> None:
    ends = {
        site.path.split(".", 2)[-1]
        for site in find_target_modules(teacher("qwen-image"), "text")
        if "blocks" in site.path
    }
    assert ends == {
        "attn.add_k_proj",
        "attn.add_v_proj",
        "attn.add_q_proj",
        "attn.to_add_out",
        "txt_mod.1",
        "txt_mlp.net.0.proj",
        "txt_mlp.net.2",
    }
    unet = [site.path for site in find_target_modules(teacher("sdxl"), "text")]
    assert all("attn2" in path or "add_embedding" in path for path in unet)
    assert any(path.endswith("attn2.to_k") for path in unet)
    assert len(find_target_modules(teacher("sdxl"))) > len(unet)
    ours, theirs = (
        [site.path for site in find_target_modules(teacher(one))] for one in ("vignette", "qwen-image")
    )
    assert sorted(ours) == sorted(theirs)


def test_the_pattern_is_sixteen_eight_and_four() -> None:
    ranks = pattern_ranks(find_target_modules(teacher("sdxl")))
    assert {rank for path, rank in ranks.items() if path.endswith("attn2.to_k")} == {8}
    assert {rank for path, rank in ranks.items() if path.endswith("attn2.to_v")} == {4}
    assert {rank for path, rank in ranks.items() if "add_embedding" in path} == {16}


def test_sensitivity_finds_what_the_loss_wants_and_the_budget_holds() -> None:
    network = teacher("vignette")
    sites = find_target_modules(network)
    student = Learners(network, {STUDENT: {}})
    x, t = inputs("vignette")
    text = texts("vignette").take([0, 1, 2])

    def loss(number: int) -> torch.Tensor:
        return (student.predict(x + number, t, text) - x).square().mean()

    found = measure_sensitivity(network, sites, loss, batches=2)
    again = measure_sensitivity(network, sites, loss, batches=2, at_once=5)
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


@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_has_diffusers_names_and_says_how_to_paint(family: str, tmp_path: Path) -> None:
    network = teacher(family)
    ranks = {site.path: 2 for site in find_target_modules(network, "text")}
    student = Learners(network, {STUDENT: ranks}, scale=0.5, seed=4)
    with torch.no_grad():
        for parameter in student.learned():
            parameter.add_(0.05)
    about = StudentInfo(method="turbo", family=family, base_hash="ab" * 32, steps=4)
    path = write_student(tmp_path / "turbo.safetensors", student, about, updates=7, score=0.5)
    with safe_open(path, framework="pt") as file:
        keys, metadata = list(file.keys()), file.metadata()
    assert all(key.startswith(f"{network.root}.") and ".lora_" in key for key in keys)
    assert json.loads(metadata["allaprima.sigmas"]) == pytest.approx(network.process.sigmas(4))
    assert json.loads(metadata["distill.site_ranks"]) == ranks
    bare = teacher(family)
    lora = read_lora(path, {network.root: bare.network}, family=family)
    assert lora.metadata.steps == 4
    assert lora.metadata.guidance == 1.0
    assert lora.metadata.sigmas == pytest.approx(network.process.sigmas(4))
    assert lora.metadata.sigmas[-1] == 0
    assert lora.metadata.base_hash == "ab" * 32
    assert not lora.unmatched
    from allaprima.paint.lora.update import delta_of

    with torch.no_grad():
        for key, update in lora.updates.items():
            bare.network.get_submodule(key.removeprefix(f"{network.root}.")).weight.add_(delta_of(update))  # type: ignore[operator]
        x, t = inputs(family)
        text = texts(family).take([0, 1, 2])
        assert torch.allclose(bare(x, t, text), student.predict(x, t, text), atol=1e-4)
