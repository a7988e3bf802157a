from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.outpaint import Margins
from allaprima.core.starting_picture import StartingPicture

PICTURE = Image.new("RGB", (40, 20), "red")


def mask(box: tuple[int, int, int, int] = (10, 0, 30, 20)) -> Image.Image:
    image = Image.new("L", PICTURE.size, 0)
    image.paste(255, box)
    return image


def test_files_and_images_are_alike(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "picture.png")
    mask().save(tmp_path / "mask.png")
    read = StartingPicture.of(str(tmp_path / "picture.png"), mask=tmp_path / "mask.png", feather_px=0)
    given = StartingPicture.of(PICTURE, mask=mask(), feather_px=0)
    size = {"width": 20, "height": 20}
    assert read.init_image(**size) == given.init_image(**size)
    assert given.init_image(**size).mask == b"\xff" * 400


def test_a_mask_is_transparent_or_white_and_has_a_soft_edge() -> None:
    clear = Image.new("RGBA", PICTURE.size, "white")
    clear.paste((0, 0, 0, 0), (10, 0, 30, 20))
    by_alpha, by_white = (StartingPicture.of(PICTURE, mask=each).mask for each in (clear, mask()))
    assert by_alpha is not None
    assert by_white is not None
    assert by_alpha.tobytes() == by_white.tobytes()
    assert [by_white.getpixel((x, 10)) for x in (9, 10, 17, 20)] == [0, 31, 255, 255]


def test_a_part_is_new_where_nobody_says_how_much_of_it() -> None:
    assert StartingPicture.of(PICTURE).strength == 0.75
    assert StartingPicture.of(PICTURE, mask=mask()).strength == 1.0
    around = StartingPicture.of(PICTURE, outpaint="left=8")
    assert (around.strength, around.margins, around.feather_px) == (1.0, Margins(left=8), 16)
    assert StartingPicture.of(PICTURE, mask=mask(), strength=0.3).strength == 0.3


def test_a_padding_shows_a_window_and_keeps_the_whole() -> None:
    start = StartingPicture.of(PICTURE, mask=mask((2, 2, 6, 6)), padding_px=2, feather_px=0)
    init_image = start.init_image(width=64, height=64)
    assert init_image.surround is not None
    assert (init_image.surround.box, init_image.surround.width) == ((0, 0, 8, 8), 40)
    assert (init_image.width, init_image.area) == (64, "Only masked")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"mask": Image.new("L", (8, 8), 255)},
            "got a mask of 8x8 pixels; expected 40x20, as the picture has",
        ),
        ({"mask": Image.new("L", (40, 20), 0)}, "got a mask that keeps every pixel; expected some to paint"),
        (
            {"mask": mask(), "outpaint": "left=8"},
            "got a mask and sides to extend the picture on; expected one",
        ),
        ({"padding_px": 8}, "got a padding without a mask; expected one"),
        ({"feather_px": 8}, "got a feather without a mask; expected one"),
        ({"mask": mask(), "padding_px": -1}, "got a padding of -1 pixels; expected 0 to 4096"),
        ({"mask": mask(), "feather_px": 99}, "got a feather of 99 pixels; expected 0 to 64"),
        ({"strength": 2.0}, "got strength 2.0; expected 0 to 1"),
        ({"outpaint": "up"}, "got outpaint 'up'; expected left, top"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(RequestError, match=told):
        StartingPicture.of(PICTURE, **options)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(
        PictureError, match="got bytes as an image; expected a file, a picture or a PIL image"
    ):
        StartingPicture.of(b"bytes")


def test_what_is_transparent_in_a_picture_takes_the_colours_around_it() -> None:
    clear = PICTURE.convert("RGBA")
    clear.paste((0, 0, 0, 0), (10, 0, 30, 20))
    assert StartingPicture.of(clear, mask=clear, feather_px=0).picture.tobytes() == PICTURE.tobytes()
    assert StartingPicture.of(clear).picture.getpixel((15, 10)) == (255, 255, 255)
