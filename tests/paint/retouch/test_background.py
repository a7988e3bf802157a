from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tests.tiny_retouch import KnownMatte, disc_before, tiny_matte_network
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.retouch import CutOut, NewBackground
from allaprima.paint.painter import Painter
from allaprima.paint.retouch.background import paint_place, put_before_background
from allaprima.paint.retouch.cutout import cut_out
from allaprima.paint.retouch.places import Place, PlacePainter, paint_with
from allaprima.paint.retouch.work import Workshop, finish


def workshop(bias: float, places: PlacePainter | None = None) -> Workshop:
    shop = Workshop(device=torch.device("cpu"), places=places)
    shop.keep("matte", lambda: tiny_matte_network(bias))
    return shop


def green(_words: str, _seed: int) -> Place:
    return Place(Image.new("RGB", (32, 32), "#20a020"), holds_thing=False)


def test_a_cut_out_is_rgba_and_keeps_what_was_transparent() -> None:
    image, _ = disc_before("#2040d0")
    everything = finish(cut_out(image, CutOut(), workshop(50)))
    assert everything.mode == "RGBA"
    assert everything.getchannel("A").getextrema() == (255, 255)
    assert everything.convert("RGB").tobytes() == image.tobytes()
    image.putalpha(Image.linear_gradient("L").resize((64, 64)))
    again = finish(cut_out(image, CutOut(), workshop(50)))
    assert again.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    with pytest.raises(PictureError, match="nothing stands out"):
        finish(cut_out(image, CutOut(), workshop(-50)))


def test_a_cut_out_subject_gets_the_painted_place_behind_it() -> None:
    image, matte = disc_before("#2040d0")
    image.putalpha(Image.fromarray((matte * 255).astype(np.uint8)))
    asked: list[tuple[str, int]] = []

    def paint(words: str, seed: int) -> Place:
        asked.append((words, seed))
        return green(words, seed)

    done = finish(
        put_before_background(image, NewBackground(prompt="a meadow", seed=5), workshop(-50, paint))
    )
    assert asked == [("a meadow", 5)]
    assert done.mode == "RGB"
    assert done.size == (64, 64)
    assert done.getpixel((2, 2)) == (0x20, 0xA0, 0x20)
    assert done.getpixel((32, 32)) == (0xD0, 0x20, 0x20)


def test_an_opaque_picture_is_cut_first() -> None:
    image, _ = disc_before("#2040d0")
    with pytest.raises(PictureError, match="nothing stands out"):
        finish(put_before_background(image, NewBackground(prompt="x"), workshop(-50, green)))
    whole = finish(put_before_background(image, NewBackground(prompt="x"), workshop(50, green)))
    assert whole.tobytes() == image.tobytes()


def test_without_a_painter_it_says_so() -> None:
    with pytest.raises(RequestError, match="where a base is loaded"):
        finish(put_before_background(Image.new("RGB", (8, 8)), NewBackground(prompt="x"), workshop(50)))


def test_the_small_thing_in_a_place_is_taken_out() -> None:
    thing, matte = disc_before("#20a020")

    def place_of(holds_thing: bool, matte: NDArray[np.float32]) -> Image.Image:
        return paint_place(
            NewBackground(prompt="x"),
            lambda _words, _seed: Place(thing, holds_thing),
            KnownMatte(matte=matte),
        )

    cleared = place_of(True, matte)
    assert np.abs(np.asarray(cleared).astype(int) - (0x20, 0xA0, 0x20)).max() <= 1
    assert place_of(True, np.zeros((64, 64), np.float32)) is thing
    assert place_of(False, matte) is thing


def test_a_base_is_asked_in_the_words_that_it_paints_places_from(tmp_path: Path) -> None:
    with Painter.load(folder=write_tiny_vignette(tmp_path)) as painter:
        place = paint_with(painter, "a {meadow}", 3)
        assert place.holds_thing
        assert "{}" in painter.base.traits.place_prompt
        asked = painter(painter.base.traits.place_prompt.format("a {meadow}"), seed=3)
    assert place.image.tobytes() == asked.image.tobytes()
