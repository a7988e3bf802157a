"""The Python door: a painter that is called, shared between threads, and closed."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.studio.page.running import write_loras
from tests.tiny import SteadyBase
from tests.tiny_vignette import write_tiny_vignette

from allaprima import (
    InitImage,
    LoraError,
    LoraUse,
    Painter,
    Picture,
    PictureSet,
    RequestError,
    UserError,
)
from allaprima.core.picture_files import import_request
from allaprima.core.request import GenerationRequest


@pytest.fixture
def painter() -> Painter:
    return Painter(base=SteadyBase())


def test_words_become_a_picture(painter: Painter) -> None:
    picture = painter("cat", seed=7, steps=2, guidance=1.0)
    assert isinstance(picture, Picture)
    assert picture == painter.paint(GenerationRequest(prompt="cat", seed=7, steps=2, guidance=1.0))


def test_several_pictures_have_seeds_that_follow_each_other(painter: Painter) -> None:
    pictures = painter("cat", seed=7, count=3, steps=1)
    assert isinstance(pictures, PictureSet)
    assert [picture.request.seed for picture in pictures] == [7, 8, 9]
    assert pictures[1] == painter("cat", seed=8, steps=1)
    with pytest.raises(RequestError, match="got count 0; expected a whole number of at least 1"):
        painter("cat", count=0)


def test_a_seed_that_nobody_names_is_another_each_time(painter: Painter) -> None:
    assert len({painter("cat", steps=1).request.seed for _ in range(3)}) == 3


def test_an_image_of_any_form_is_painted_over(painter: Painter, tmp_path: Path) -> None:
    image = Image.new("RGB", (300, 400), "red")
    image.save(tmp_path / "red.png")
    files: list[Any] = [image, tmp_path / "red.png", str(tmp_path / "red.png")]
    pictures = [painter("cat", seed=1, steps=4, init_image=file, strength=0.5) for file in files]
    own = InitImage.from_image(image, width=256, height=256, strength=0.5)
    pictures.append(painter("cat", seed=1, steps=4, init_image=own))
    assert len({picture.rgb for picture in pictures}) == 1
    assert pictures[0].rgb != painter("cat", seed=1, steps=4).rgb


def test_loras_are_named_or_weighed(inked: Painter) -> None:
    for loras in ({"ink": 1.0}, ["ink"], "ink", (LoraUse(name="ink"),)):
        assert inked("cat", seed=1, steps=1, loras=loras).request.loras == (LoraUse(name="ink"),)
    with pytest.raises(LoraError, match="got LoRA 'ash', which is not in"):
        inked("cat", loras=["ash"])
    wrong: list[Any] = [None, 7, [("ink", 0.8)], [1]]
    for loras in wrong:
        with pytest.raises(RequestError, match="expected names to weights, or names"):
            inked("cat", loras=loras)


def test_what_nobody_can_paint_is_told_in_a_sentence(painter: Painter) -> None:
    image = Image.new("RGB", (8, 8))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"count": True}, "got count True"),
        ({"count": 2.0}, "got count 2.0"),
        ({"strength": 0.5}, "expected it with an image"),
        ({"strength": "much", "init_image": image}, "got strength much; expected 0 to 1"),
        ({"init_image": b"bytes"}, "got bytes as an image"),
        ({"init_image": InitImage.from_image(image, width=8, height=8)}, "got 8x8 to paint over"),
    ]
    for given, message in wrong:
        with pytest.raises(UserError, match=message):
            painter("cat", **given)
    with pytest.raises(TypeError, match="got 'colour'; expected a field of a request: prompt"):
        painter("cat", colour="red")
    for load, message in (
        ({"memory_gib": float("nan")}, "GiB of memory"),
        ({"size": (0, 0)}, "the size 0x0"),
    ):
        with pytest.raises(RequestError, match=message):
            Painter.load(**load)
    with pytest.raises(ValueError, match=r"got 1\.5 pictures per pass"):
        replace(painter, pictures_per_pass=1.5)  # type: ignore[arg-type]


def test_a_file_says_that_another_picture_was_painted_over(painter: Painter, tmp_path: Path) -> None:
    first = painter("cat", seed=1, steps=2)
    path = painter("dog", seed=1, steps=2, init_image=first, strength=0.5).save(tmp_path / "over.png")
    assert import_request(path).init_strength == "0.5"
    assert import_request(first.save(tmp_path / "first.jpg")).init_strength is None


@pytest.fixture
def inked(tmp_path: Path) -> Painter:
    """A painter with two LoRAs, ink and sun."""
    weights = write_tiny_vignette(tmp_path / "weights")
    loras = write_loras(tmp_path / "loras", weights, {"ink": (40, 40, 40), "sun": (240, 180, 40)})
    return Painter.load(folder=str(weights), lora_dir=str(loras), device="cpu")


def test_threads_share_a_painter_and_get_their_own_pictures(inked: Painter) -> None:
    """Also through a painter that `replace` made of it: base and LoRAs are the same, and so is the lock."""
    specs: list[dict[str, Any]] = [{"loras": ["ink"]}, {"loras": {"sun": 0.5}}, {"guidance": 3.0}, {}]
    alone = [inked("a cat", seed=seed, steps=4, **spec) for seed, spec in enumerate(specs)]
    painters = [inked, replace(inked, pictures_per_pass=2)]
    painted: dict[int, list[Picture]] = {}

    def paint(number: int) -> None:
        spec, painter = specs[number % 4], painters[number % 2]
        painted[number] = [painter("a cat", seed=number % 4, steps=4, **spec) for _ in range(3)]

    threads = [threading.Thread(target=paint, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: [alone[number % 4]] * 3 for number in range(8)} == painted


def test_two_pictures_may_be_under_way_at_once(painter: Painter) -> None:
    request = GenerationRequest(prompt="cat", seed=7, steps=3, guidance=1.0)
    one, other = painter.events(request), painter.events(replace(request, seed=8))
    events = [event for pair in zip(one, other, strict=True) for event in pair]
    assert events[-2].pictures == (painter.paint(request),)  # type: ignore[union-attr]


def test_a_closed_painter_has_let_its_base_go() -> None:
    with Painter(base=SteadyBase()) as painter:
        painter("cat", steps=1)
    with pytest.raises(RuntimeError, match="this painter was closed"):
        painter("cat", steps=1)
    with pytest.raises(RuntimeError, match="this painter was closed"):
        painter.paint(GenerationRequest(prompt="cat"))
