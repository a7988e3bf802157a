"""Layouts from a request to the picture and its file: told, completed, batched, in windows, over pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.tiny import SteadyBase
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.init_image import InitImage
from allaprima.core.layout import LAYERS, Box, Layout, PaintedLayout, Thing
from allaprima.core.picture_files import import_request
from allaprima.core.request import GenerationRequest
from allaprima.paint.layout.completion import painted_layout
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.layout_maps import draw_maps

CAT = Thing(kind="cat", box=Box(0.0, 0.25, 0.5, 1.0), color=(255, 153, 0))
DOG = Thing(kind="dog", box=Box(0.5, 0.25, 1.0, 1.0))
REQUEST = GenerationRequest(prompt="a cat", steps=2, guidance=1.0, seed=7)
TOLD = replace(REQUEST, layout=(CAT,))


def with_sun(layout: Layout, prompt: str, seed: int) -> PaintedLayout:
    """Complete a layout by a sun whose place hangs on the seed."""
    assert prompt
    left = seed % 5 / 10
    sun = Thing(kind="sun", box=Box(left, 0.0, left + 0.3, 0.3), layer="behind")
    return PaintedLayout(things=(sun, *layout), whole=frozenset(LAYERS))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Painter]:
    folder: Path = write_tiny_vignette(tmp_path_factory.mktemp("reader") / "weights", reads_layout=True)
    with Painter.load(folder=folder, device="cpu", precision="fp32") as painter:
        yield painter


@pytest.fixture(scope="module")
def painter(loaded: Painter) -> Painter:
    """Paint layouts as they stand."""
    return replace(loaded, layout_completion=None)


@pytest.fixture(scope="module")
def completing(painter: Painter) -> Painter:
    return replace(painter, layout_completion=with_sun)


def test_a_layout_changes_the_picture_and_stays_with_it(painter: Painter, tmp_path: Path) -> None:
    open_, told = painter.paint(REQUEST), painter.paint(TOLD)
    moved = painter.paint(replace(TOLD, layout=(replace(CAT, box=Box(0.5, 0.25, 1.0, 1.0)),)))
    assert len({open_.rgb, told.rgb, moved.rgb}) == 3
    assert open_.painted_layout is None
    assert told.painted_layout == PaintedLayout(things=(CAT,))
    for name in ("cat.png", "cat.jpg", "cat.webp"):
        imported = import_request(told.save(tmp_path / name))
        assert imported.request == TOLD
        assert imported.painted_layout == told.painted_layout
        assert painter.paint(imported.request) == told


def test_what_is_left_open_is_completed_from_the_seed(completing: Painter, tmp_path: Path) -> None:
    picture = completing.paint(TOLD)
    assert picture.painted_layout == with_sun((CAT,), "a cat", 7)
    assert picture.request == TOLD
    imported = import_request(picture.save(tmp_path / "cat.png"))
    assert imported.painted_layout == picture.painted_layout
    assert completing.paint(imported.request) == picture
    as_it_stands = completing.paint(replace(TOLD, complete_layout=False))
    assert as_it_stands.painted_layout == PaintedLayout(things=(CAT,))
    assert as_it_stands.rgb != picture.rgb
    assert import_request(as_it_stands.save(tmp_path / "cat.jpg")).request.complete_layout is False
    assert completing.paint(replace(REQUEST, complete_layout=False)).painted_layout is None


def test_a_loaded_painter_completes_by_the_words_and_the_seed(loaded: Painter) -> None:
    told = loaded.paint(replace(TOLD, prompt="a cat on the beach")).painted_layout
    assert told == painted_layout((CAT,), "a cat on the beach", TOLD.seed)
    assert CAT in told.things
    assert len(told.things) > 2


def test_a_painted_layout_that_cannot_be_read_is_left_out(painter: Painter, tmp_path: Path) -> None:
    far = PaintedLayout(things=(replace(CAT, box=Box(-9.0, 0.0, 9.0, 1.0)),))
    path = replace(painter.paint(TOLD), painted_layout=far).save(tmp_path / "far.png")
    imported = import_request(path)
    assert (imported.request, imported.painted_layout) == (TOLD, None)
    (remark,) = imported.remarks
    assert remark.startswith("the painted layout is left out: got the box [-9.0")


def test_each_picture_of_a_batch_has_its_own_layout(completing: Painter) -> None:
    together = replace(completing, pictures_per_pass=3)
    requests = [replace(TOLD, seed=seed) for seed in (1, 2, 3)]
    shared = together.paint_batch(requests)
    assert len({picture.painted_layout for picture in shared}) == 3
    for picture, request in zip(shared, requests, strict=True):
        alone = completing.paint(request)
        assert picture.painted_layout == alone.painted_layout
        assert max(abs(a - b) for a, b in zip(picture.rgb, alone.rgb, strict=True)) <= 1


def test_nothing_is_completed_over_a_picture(completing: Painter) -> None:
    below = Image.effect_noise((256, 256), 90).convert("RGB")
    mask = Image.new("L", (256, 256))
    mask.paste(255, (0, 64, 128, 256))
    starts: list[dict[str, Any]] = [
        {"strength": 0.5}, {"mask": mask}, {"mask": mask, "padding_px": 8}, {"outpaint": "left=32"},
    ]  # fmt: skip
    for start in starts:
        settings: dict[str, Any] = {"steps": 2, "guidance": 1.0, "seed": 7, "init_image": below, **start}
        open_ = completing("a cat", **settings)
        told = completing("a cat", **settings, layout=[{"kind": "cat", "box": list(CAT.box)}])
        assert open_.painted_layout is None, start
        assert told.painted_layout == PaintedLayout(things=(replace(CAT, color=None),)), start
        assert open_.rgb != told.rgb, start


def test_a_window_is_shown_its_part_of_the_layout(painter: Painter) -> None:
    whole, mask = Image.new("RGB", (512, 512)), Image.new("L", (512, 512), 255)
    window = InitImage.window(whole, mask, (256, 0, 512, 256), width=256, height=256, strength=1.0)
    seen = PaintedLayout(things=(Thing(kind="cat", box=Box(0.5, 0.25, 0.75, 0.5)),))
    inside = PaintedLayout(things=(Thing(kind="cat", box=Box(0.0, 0.5, 0.5, 1.0)),))
    (drawn, nothing), (expected,) = (
        draw_maps(painter.base, [seen, None], 256, 256, window),
        draw_maps(painter.base, [inside], 256, 256),
    )
    assert nothing is None
    assert drawn is not None
    assert expected is not None
    assert torch.equal(drawn, expected)


def test_what_a_layout_says_in_vain_is_remarked(painter: Painter) -> None:
    assert painter.remarks(REQUEST) == painter.remarks(TOLD) == ()
    steady = Painter(base=SteadyBase(name="steady"))
    assert steady.remarks(TOLD) == ("the layout does nothing: steady reads none",)
    assert steady.remarks(replace(REQUEST, complete_layout=False)) == ()
    told = steady.paint(replace(TOLD, base="steady"))
    assert told.painted_layout is None
    assert told.remarks == ("the layout does nothing: steady reads none",)
    above = replace(CAT, box=Box(0.0, -1.0, 1.0, 0.0))
    assert painter.remarks(replace(REQUEST, layout=(above, DOG))) == (
        "the layout puts 'cat' outside the picture, where nothing of it is seen",
    )
    long = replace(CAT, kind="c" * 64)
    assert painter.remarks(replace(REQUEST, layout=(long,))) == (
        f"the end of the kind {'c' * 64!r} is beyond what the base reads",
    )


def test_negative_prompts_and_first_predictions_keep_to_the_layout(completing: Painter) -> None:
    guided = replace(TOLD, guidance=3.0, negative_prompt="rain")
    assert completing.paint(guided).rgb != completing.paint(replace(guided, complete_layout=False)).rgb
    assert completing.paint(guided) == completing.paint(guided)
    other = completing.paint(replace(guided, layout=(DOG,)))
    assert other.rgb != completing.paint(guided).rgb
