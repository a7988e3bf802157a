"""Pictures written as files: pixels, qualities, and the texts that other programs look for."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from typing import get_args

import pytest
from PIL import Image

from allaprima.core.infotext import to_infotext
from allaprima.core.picture import Picture
from allaprima.core.picture_encoding import QUALITY, SUFFIXES, FileFormat
from allaprima.core.request import GenerationRequest

FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
REQUEST = GenerationRequest(
    prompt='"一只猫", 在屋顶: 🐱\\', negative_prompt="Steps: 1, Seed: 2, Size: 3x4", steps=1
)


def paint_noise(request: GenerationRequest, width: int = 64, height: int = 48) -> Picture:
    return Picture(request=request, width=width, height=height, rgb=os.urandom(3 * width * height))


def test_png_keeps_the_pixels() -> None:
    picture = paint_noise(REQUEST)
    with Image.open(io.BytesIO(picture.encode("png"))) as image:
        assert image.tobytes() == picture.rgb


@pytest.mark.parametrize("file_format", ["jpeg", "webp"])
def test_high_quality_is_finer_than_medium(file_format: FileFormat) -> None:
    high = paint_noise(GenerationRequest(prompt="a cat", quality="high"), 256, 256)
    medium = replace(high, request=GenerationRequest(prompt="a cat", quality="medium"))
    assert len(high.encode(file_format)) > 1.3 * len(medium.encode(file_format))
    assert QUALITY == {"high": 95, "medium": 80}


def test_other_programs_find_the_infotext_where_they_look() -> None:
    with Image.open(io.BytesIO(paint_noise(REQUEST).encode("png"))) as image:
        assert image.info["parameters"] == to_infotext(REQUEST)
        assert json.loads(image.info["allaprima"])["request"] == REQUEST.to_json()
    for file_format in ("jpeg", "webp"):
        with Image.open(io.BytesIO(paint_noise(REQUEST).encode(file_format))) as image:
            comment = image.getexif().get_ifd(0x8769)[0x9286]
        assert comment.startswith(b"UNICODE\0")
        assert comment[8:].decode("utf-16-be").startswith(to_infotext(REQUEST))


def test_suffixes_name_every_format() -> None:
    assert set(SUFFIXES.values()) == set(FORMATS)
