from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from allaprima.core.errors import PictureError, RequestError
from allaprima.core.infotext import from_infotext, import_infotext, to_infotext
from allaprima.core.reference import MAX_REFERENCES, Reference
from allaprima.core.request import GenerationRequest

FACE = Reference.from_image(Image.effect_noise((96, 64), 90).convert("RGB"))


def test_a_reference_is_known_by_its_pixels(tmp_path: Path) -> None:
    assert FACE.pixels is not None
    image = Image.frombytes("RGB", (96, 64), FACE.pixels.rgb)
    image.save(tmp_path / "face.png")
    assert Reference.open(tmp_path / "face.png") == FACE
    assert Reference.from_image(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) != FACE
    same_bytes = Image.frombytes("RGB", (64, 96), FACE.pixels.rgb)
    assert Reference.from_image(same_bytes) != FACE


def test_a_request_takes_its_digest_through_json_and_infotext() -> None:
    request = GenerationRequest(prompt="a cat", references=(FACE, Reference(digest=FACE.digest)))
    for again in (
        GenerationRequest.from_json(json.loads(json.dumps(request.to_json()))),
        from_infotext(to_infotext(request)),
    ):
        assert again == request
        assert hash(again) == hash(request)
        assert [one.pixels for one in again.references] == [None, None]
    assert "references" not in GenerationRequest(prompt="a cat").to_json()
    assert import_infotext(to_infotext(request)).remarks == ()


@pytest.mark.parametrize(
    ("references", "told"),
    [
        ("face.png", "expected a list"),
        (["face.png"], "expected the 32 hexadecimal digits"),
        ([7], "expected the 32 hexadecimal digits"),
        ([FACE.digest] * (MAX_REFERENCES + 1), "expected at most 10"),
    ],
)
def test_what_names_no_picture_is_told(references: Any, told: str) -> None:
    with pytest.raises(RequestError, match=told) as caught:
        GenerationRequest.from_json({"prompt": "a cat", "references": references})
    assert caught.value.field == "references"


@pytest.mark.parametrize("size", [(63, 64), (64, 600)])
def test_pictures_that_show_too_little_are_told(size: tuple[int, int]) -> None:
    with pytest.raises(RequestError, match=f"got a reference of {size[0]}x{size[1]} pixels"):
        Reference.from_image(Image.new("RGB", size))


def test_a_file_that_is_no_picture_is_told(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="does not exist"):
        Reference.open(tmp_path / "none.png")
