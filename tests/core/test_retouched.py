from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from allaprima.core.errors import OutputError, PictureError
from allaprima.core.infotext import from_infotext, to_infotext
from allaprima.core.picture_files import read_history, read_request
from allaprima.core.request import GenerationRequest
from allaprima.core.retouch import Upscale
from allaprima.core.retouched import RetouchedPicture

RED = Image.new("RGB", (24, 16), "#c04030")
REQUEST = GenerationRequest(prompt="a cat, allaprima: asleep", seed=7)
TWICE = (Upscale(), Upscale(scale=1.5, upscaler="sharp"))
ENDINGS = ("png", "jpg", "webp")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_carries_request_and_operations(tmp_path: Path, ending: str) -> None:
    picture = RetouchedPicture(image=RED, operations=TWICE, request=REQUEST, infotext=to_infotext(REQUEST))
    path = picture.save(tmp_path / f"a.{ending}")
    history = read_history(path.read_bytes())
    assert (history.request, history.operations) == (REQUEST, TWICE)
    assert read_request(path) == REQUEST
    assert history.infotext is not None
    assert from_infotext(history.infotext) == REQUEST
    assert "Postprocess upscaler: sharp" in history.infotext


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_never_painted_carries_operations_alone(tmp_path: Path, ending: str) -> None:
    path = RetouchedPicture(image=RED, operations=TWICE).save(tmp_path / f"a.{ending}")
    history = read_history(path.read_bytes())
    assert (history.request, history.operations, history.infotext) == (None, TWICE, None)
    with pytest.raises(PictureError, match="carries no request"):
        read_request(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_another_programs_words_stay(tmp_path: Path, ending: str) -> None:
    text = "a house, old\nNegative prompt: rain\nSteps: 9, Sampler: DPM++ 2M, CFG scale: 7, Seed: 3, Clip skip: 2"
    picture = RetouchedPicture(image=RED, operations=TWICE, infotext=text)
    path = picture.save(tmp_path / f"a.{ending}")
    history = read_history(path.read_bytes())
    assert history.request is None
    assert history.infotext is not None
    assert history.infotext.startswith(text)
    assert read_request(path).prompt == "a house, old"
    again = RetouchedPicture(image=RED, **vars(history)).save(tmp_path / f"b.{ending}")
    assert read_history(again.read_bytes()).operations == TWICE


def test_a_picture_without_a_word_has_no_history(tmp_path: Path) -> None:
    RED.save(tmp_path / "plain.png")
    history = read_history((tmp_path / "plain.png").read_bytes())
    assert (history.request, history.operations, history.infotext) == (None, (), None)


def test_damaged_operations_are_told(tmp_path: Path) -> None:
    text = PngInfo()
    text.add_text("allaprima", '{"layout": 1, "retouch": [{"operation": "melt"}]}')
    RED.save(tmp_path / "bad.png", pnginfo=text)
    with pytest.raises(PictureError, match="cannot be used: got the retouch"):
        read_history((tmp_path / "bad.png").read_bytes())


def test_what_is_transparent_goes_into_no_jpeg(tmp_path: Path) -> None:
    picture = RetouchedPicture(image=Image.new("RGBA", (8, 8), (9, 9, 9, 0)))
    with pytest.raises(OutputError, match=r"expected .png or .webp"):
        picture.save(tmp_path / "a.jpg")
    assert not list(tmp_path.iterdir())
    with Image.open(picture.save(tmp_path / "a.webp")) as kept:
        assert kept.mode == "RGBA"
    with pytest.raises(OutputError, match="ends in"):
        picture.save(tmp_path / "a.gif")
    assert picture._repr_png_().startswith(b"\x89PNG")
