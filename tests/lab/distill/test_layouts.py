"""Students of a base that reads layouts are told what stands where, and so is their teacher under guidance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.lab.distill.tiny import CPU, draw, write_cache
from tests.lab.training.layouts_of_three import LAYOUTS
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.layout import LAYERS, PaintedLayout
from allaprima.lab.distill.data import to_device
from allaprima.lab.distill.learners import STUDENT, Learners
from allaprima.lab.distill.lora_file import begin_with
from allaprima.lab.distill.networks import Vignette, network_of
from allaprima.lab.distill.teacher import TeacherSetup, set_up_teacher
from allaprima.lab.training.latents import CAPTIONS
from allaprima.lab.training.layouts import write_layouts
from allaprima.paint.bases.vignette.base import VignetteBase, load_vignette

SCENES = 12


@pytest.fixture
def base(tmp_path: Path) -> VignetteBase:
    return load_vignette(write_tiny_vignette(tmp_path / "weights", reads_layout=True), dtype=torch.float32)


def bench(base: VignetteBase, folder: Path) -> TeacherSetup:
    cache = write_cache(folder / "cache")
    write_layouts(cache, [("scene", LAYOUTS[scene % 3]) for scene in range(SCENES)])
    return set_up_teacher(base, "0" * 64, caches=(cache,), held_out=2)


def test_captions_come_with_their_scenes_layout_but_every_eighth(base: VignetteBase, tmp_path: Path) -> None:
    told = [PaintedLayout(things=layout, whole=frozenset(LAYERS)) for layout in LAYOUTS]
    drawn = base.draw_layouts(told, 256, 256)
    setup = bench(base, tmp_path)
    text = to_device(setup.texts.take([3 * CAPTIONS + 1, 8 * CAPTIONS, 5 * CAPTIONS]), CPU)
    assert text.layout is not None
    torch.testing.assert_close(text.layout[0], drawn[0])
    torch.testing.assert_close(text.layout[2], drawn[2])
    assert not text.layout[1].any()
    batch = setup.material.batch(draw(0)).text
    assert batch.layout is not None
    assert batch.layout.any()


def test_a_network_that_is_taught_answers_as_the_base_does(base: VignetteBase, tmp_path: Path) -> None:
    setup = bench(base, tmp_path)
    text = setup.texts.take([3 * CAPTIONS, 5 * CAPTIONS])
    latents, t = torch.randn(2, *setup.shape), torch.tensor([0.9, 0.4])
    with torch.inference_mode():
        for told in (text, replace(text, layout=None)):
            torch.testing.assert_close(setup.network(latents, t, told), base.predict(latents, t, told))


def test_guidance_leads_away_from_other_words_in_the_same_place(base: VignetteBase, tmp_path: Path) -> None:
    setup = bench(base, tmp_path)
    learners = Learners(setup.network, {})
    text, empty = setup.texts.take([3 * CAPTIONS]), setup.texts.empty(1)
    latents, t = torch.randn(1, *setup.shape), torch.tensor([0.9])
    with torch.inference_mode():
        towards = base.predict(latents, t, text)
        away = base.predict(latents, t, replace(empty, layout=text.layout))
        guided = learners.guided(latents, t, text, empty, 3.0)
    torch.testing.assert_close(guided, away + 3.0 * (towards - away))


def test_a_student_of_the_base_before_it_read_layouts_goes_on(base: VignetteBase, tmp_path: Path) -> None:
    from allaprima.lab.training.checkpoint import write_tensors

    network = network_of(base)
    assert isinstance(network, Vignette)
    entry = network.network.get_submodule("img_in")
    assert isinstance(entry, torch.nn.Linear)
    learners = Learners(network, {STUDENT: {"img_in": 2}})
    down, up = torch.randn(2, 16), torch.randn(entry.out_features, 2)
    path = tmp_path / "before.safetensors"
    write_tensors(
        path, {"transformer.img_in.lora_A.weight": down, "transformer.img_in.lora_B.weight": up}, {}
    )
    begin_with(learners, path)
    (widened, kept) = learners.lora_parameters()["img_in"]
    assert torch.equal(widened[:, :16], down)
    assert not widened[:, 16:].any()
    assert torch.equal(kept, up)
