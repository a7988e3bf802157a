"""Painting around a picture: it stays to the bit, at any size and in any number of windows."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image
from tests.tiny import SteadyBase

from allaprima.core.errors import RequestError
from allaprima.core.events import Finished, Started, Step
from allaprima.core.picture import Picture, PictureSet
from allaprima.core.starting_picture import StartingPicture
from allaprima.paint.painter import Painter
from allaprima.paint.pipeline.outpaint import Outpainting
from allaprima.paint.pipeline.overpainting import Overpainting

PICTURE = Image.effect_noise((256, 256), 90).convert("RGB")


def painter() -> Painter:
    return Painter(base=SteadyBase())


def around(picture: Image.Image, outpaint: str) -> Outpainting:
    start = StartingPicture.of(picture, outpaint=outpaint)
    assert start.margins is not None
    return Outpainting(start, start.margins, SteadyBase())


@pytest.mark.parametrize(
    ("outpaint", "size", "corner", "windows"),
    [
        ("left=64", (320, 256), (64, 0), 1),
        ("left=64,top=32", (320, 288), (64, 32), 3),
        ("right=300", (556, 256), (0, 0), 3),
    ],
)
def test_the_picture_is_kept_and_the_rest_is_painted(
    outpaint: str, size: tuple[int, int], corner: tuple[int, int], windows: int
) -> None:
    assert len(around(PICTURE, outpaint).windows) == windows
    picture = painter()("cat", seed=3, steps=2, guidance=1.0, init_image=PICTURE, outpaint=outpaint)
    assert (picture.image.size, picture.inpaint_area) == (size, outpaint)
    assert (picture.request.seed, picture.request.width, picture.init_strength) == (3, 256, 1.0)
    box = (*corner, corner[0] + 256, corner[1] + 256)
    assert picture.image.crop(box).tobytes() == PICTURE.tobytes()
    new = picture.image.copy()
    new.paste((0, 0, 0), box)
    assert new.getextrema() != ((0, 0), (0, 0), (0, 0))


def test_a_small_picture_is_extended_at_its_own_scale() -> None:
    small = PICTURE.crop((0, 0, 50, 40))
    picture = painter()("cat", seed=3, steps=1, guidance=1.0, init_image=small, outpaint={"bottom": 20})
    assert picture.image.size == (50, 60)
    assert picture.image.crop((0, 0, 50, 40)).tobytes() == small.tobytes()


def test_a_canvas_that_the_base_paints_is_painted_at_once() -> None:
    wide = around(PICTURE.crop((0, 0, 96, 64)), "right=32")
    assert (wide.size, wide.windows) == ((128, 64), [(0, 0, 128, 64)])


def test_its_events_are_those_of_one_picture() -> None:
    start = StartingPicture.of(PICTURE, outpaint="left=64,top=32")
    over = Overpainting(start, SteadyBase())
    assert over.passes == 3
    (request,) = over.fit(
        [painter().request(prompt="cat", seed=7, steps=2, guidance=1.0, width=128, height=64)]
    )
    assert (request.width, request.height) == (256, 256)
    events = list(over.events(painter().events, [request], previews=True))
    assert isinstance(events[0], Started)
    steps = [event for event in events if isinstance(event, Step)]
    assert [(step.index, step.total) for step in steps] == [(index, 6) for index in range(1, 7)]
    assert all(step.previews[0].image.size == (320, 288) for step in steps)
    assert isinstance(events[-1], Finished)
    assert events[-1].pictures[0].request == request
    assert len(events) == 8


def test_several_pictures_differ_and_repeat() -> None:
    given: dict[str, Any] = {"steps": 1, "guidance": 1.0, "init_image": PICTURE, "outpaint": "left=8"}
    pictures = painter()("cat", seed=3, count=2, **given)
    assert isinstance(pictures, PictureSet)
    again = painter()("cat", seed=4, **given)
    assert isinstance(again, Picture)
    assert pictures[1] == again
    assert pictures[0].rgb != again.rgb


def test_a_size_beside_sides_is_refused() -> None:
    with pytest.raises(RequestError, match="got a size for a picture that is extended; expected none"):
        painter()("cat", width=256, height=256, init_image=PICTURE, outpaint="left=8")


def test_a_canvas_too_large_is_refused() -> None:
    tall = Image.new("RGB", (2100, 100))
    with pytest.raises(RequestError, match="got a canvas of 2100x8292 pixels; expected at most 16,777,216"):
        around(tall, "top=4096,bottom=4096")
