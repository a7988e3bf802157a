"""The Python door: a painter that is called, shared between threads, and closed."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.tiny import SteadyBase
from tests.tiny_vignette import write_tiny_vignette

from allaprima import InitImage, Painter, Picture, PictureSet, RequestError
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
    with pytest.raises(RequestError, match="got count 0; expected at least 1"):
        painter("cat", count=0)


def test_a_seed_that_nobody_names_is_another_each_time(painter: Painter) -> None:
    assert len({painter("cat", steps=1).request.seed for _ in range(3)}) == 3


def test_an_image_of_any_form_is_painted_over(painter: Painter, tmp_path: Path) -> None:
    image = Image.new("RGB", (300, 400), "red")
    image.save(tmp_path / "red.png")
    over: list[Any] = [image, tmp_path / "red.png", str(tmp_path / "red.png")]
    over.append(InitImage.from_image(image, width=256, height=256, strength=0.5))
    pictures = [painter("cat", seed=1, steps=4, init_image=one, strength=0.5) for one in over]
    assert len({picture.rgb for picture in pictures}) == 1
    assert pictures[0].rgb != painter("cat", seed=1, steps=4).rgb


def test_loras_are_named_or_weighed(tmp_path: Path) -> None:
    painter = Painter.load(folder=write_tiny_vignette(tmp_path / "weights"), device="cpu")
    for loras in ({"ink": 0.5}, ["ink"]):
        with pytest.raises(ValueError, match="got LoRA 'ink', which is not in"):
            painter("cat", loras=loras)


def test_threads_share_a_painter_and_get_their_own_pictures(tmp_path: Path) -> None:
    painter = Painter.load(folder=write_tiny_vignette(tmp_path / "weights"), device="cpu")
    requests = [
        painter.request(prompt=prompt, seed=seed, steps=6, guidance=guidance)
        for prompt, seed, guidance in (("a cat", 1, 1.0), ("a dog", 2, 3.0), ("a hen", 3, 1.0))
    ]
    alone = [painter.paint(request) for request in requests]
    painted: dict[int, Picture] = {}

    def paint(number: int) -> None:
        painted[number] = painter.paint(requests[number])

    threads = [threading.Thread(target=paint, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [painted[number] for number in range(3)] == alone


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
