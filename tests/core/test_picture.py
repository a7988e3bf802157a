from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from allaprima.core.errors import OutputError
from allaprima.core.picture import Picture, PictureSet
from allaprima.core.picture_files import read_request
from allaprima.core.request import GenerationRequest


def picture_of(seed: int, width: int = 4, height: int = 2) -> Picture:
    request = GenerationRequest(prompt="a cat", seed=seed, width=width, height=height)
    return Picture(request=request, width=width, height=height, rgb=bytes([seed]) * (3 * width * height))


def test_a_picture_holds_its_bytes_and_compares_by_them() -> None:
    assert picture_of(1) == picture_of(1) != picture_of(2)
    assert len(repr(picture_of(1, 256, 256))) < 500


def test_bytes_fill_the_picture_exactly() -> None:
    with pytest.raises(ValueError, match="got 5 bytes for a 4x2 picture; expected 24"):
        Picture(request=GenerationRequest(prompt="a cat"), width=4, height=2, rgb=bytes(5))


def test_a_saved_picture_carries_its_request(tmp_path: Path) -> None:
    picture = picture_of(7)
    for name in ("cat.png", "cat.jpg", "cat.webp"):
        assert picture.save(tmp_path / name) == tmp_path / name
        assert read_request(tmp_path / name) == picture.request
    with Image.open(picture.save(str(tmp_path / "cat.png"))) as image:
        assert image.tobytes() == picture.rgb
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["cat.jpg", "cat.png", "cat.webp"]


@pytest.mark.parametrize("name", ["cat.tiff", "cat", "nowhere/cat.png"])
def test_a_place_that_cannot_be_written_is_told_and_nothing_lost(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="expected"):
        picture_of(7).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_shows_the_pixels() -> None:
    picture = picture_of(9)
    with Image.open(io.BytesIO(picture._repr_png_())) as image:
        assert image.tobytes() == picture.rgb == picture.image.tobytes()


def test_a_set_is_a_sequence_and_a_sheet(tmp_path: Path) -> None:
    pictures = PictureSet(tuple(picture_of(seed) for seed in (1, 2, 3)))
    assert [picture.request.seed for picture in pictures[1:]] == [2, 3]
    assert pictures[0] == picture_of(1)
    sheet = pictures.sheet
    assert sheet.size == (4 + 8 + 4, 2 + 8 + 2)
    assert [sheet.getpixel(place) for place in ((0, 0), (12, 0), (0, 10), (12, 10))] == [
        (1, 1, 1), (2, 2, 2), (3, 3, 3), (255, 255, 255),
    ]  # fmt: skip
    with Image.open(io.BytesIO(pictures._repr_png_() or b"")) as image:
        assert image.tobytes() == sheet.tobytes()
    paths = pictures.save(tmp_path / "cats")
    assert [read_request(path).seed for path in paths] == [1, 2, 3]
    assert len({*paths, *pictures.save(tmp_path / "cats")}) == 6  # nothing is written over


def test_a_set_without_pictures_has_no_sheet() -> None:
    assert PictureSet(())._repr_png_() is None
    with pytest.raises(ValueError, match="expected at least one"):
        _ = PictureSet(()).sheet
