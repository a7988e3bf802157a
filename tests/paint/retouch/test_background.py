from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tiny_retouch import KnownMatte, disc_before, tiny_matte_network

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.retouch import CutOut, NewBackground
from allaprima.paint.retouch.background import paint_place, put_before_background
from allaprima.paint.retouch.cutout import cut_out
from allaprima.paint.retouch.work import PlacePainter, Workshop, finish


def workshop(bias: float, places: PlacePainter | None = None) -> Workshop:
    shop = Workshop(device=torch.device("cpu"), places=places)
    shop.keep("matte", lambda: tiny_matte_network(bias))
    return shop


def green(_prompt: str, _seed: int) -> Image.Image:
    return Image.new("RGB", (32, 32), "#20a020")


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

    def paint(prompt: str, seed: int) -> Image.Image:
        asked.append((prompt, seed))
        return green(prompt, seed)

    done = finish(
        put_before_background(
            image, NewBackground(prompt="a meadow", seed=5), workshop(-50, PlacePainter(paint=paint))
        )
    )
    assert asked == [("a meadow", 5)]
    assert done.mode == "RGB"
    assert done.size == (64, 64)
    assert done.getpixel((2, 2)) == (0x20, 0xA0, 0x20)
    assert done.getpixel((32, 32)) == (0xD0, 0x20, 0x20)


def test_an_opaque_picture_is_cut_first() -> None:
    image, _ = disc_before("#2040d0")
    with pytest.raises(PictureError, match="nothing stands out"):
        finish(
            put_before_background(image, NewBackground(prompt="x"), workshop(-50, PlacePainter(paint=green)))
        )
    whole = finish(
        put_before_background(image, NewBackground(prompt="x"), workshop(50, PlacePainter(paint=green)))
    )
    assert whole.tobytes() == image.tobytes()


def test_without_a_painter_it_says_so() -> None:
    with pytest.raises(RequestError, match="where a base is loaded"):
        finish(put_before_background(Image.new("RGB", (8, 8)), NewBackground(prompt="x"), workshop(50)))


def test_the_small_thing_in_a_place_is_taken_out() -> None:
    thing, matte = disc_before("#20a020")
    asked: list[str] = []

    def paint(prompt: str, _seed: int) -> Image.Image:
        asked.append(prompt)
        return thing

    place = paint_place(
        NewBackground(prompt="{a} meadow"),
        PlacePainter(paint=paint, prompt="a candle, {}"),
        KnownMatte(matte=matte),
    )
    assert asked == ["a candle, {a} meadow"]
    assert np.abs(np.asarray(place).astype(int) - (0x20, 0xA0, 0x20)).max() <= 1
    nothing = KnownMatte(matte=np.zeros((64, 64), np.float32))
    assert paint_place(NewBackground(prompt="x"), PlacePainter(paint=paint, prompt="a {}"), nothing) is thing
    assert paint_place(NewBackground(prompt="x"), PlacePainter(paint=paint), KnownMatte(matte=matte)) is thing
