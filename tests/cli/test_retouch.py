from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.core.test_retouch_source import png_header
from tests.tiny_upscaler import write_upscaler

from allaprima.cli.app import run
from allaprima.core.picture_files import read_history
from allaprima.core.retouch import Upscale


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_upscaler(tmp_path / "models" / "upscale_models" / "tiny.safetensors")
    for name, color in (("a", "#204060"), ("b", "#d0a020")):
        Image.new("RGB", (12, 10), color).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def size_of(name: str) -> tuple[int, int]:
    with Image.open(name) as image:
        return image.size


TINY = ["--upscaler", "tiny", "--models-dir", "models"]


def test_it_enlarges_and_says_so_in_the_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["retouch", "a.png", "--upscale", "2", *TINY, "-o", "large.png", "--json"]) == 0
    *paths, last = capsys.readouterr().out.splitlines()
    told = json.loads(last)
    assert paths == told["paths"] == ["large.png"]
    assert told["retouch"] == [{"operation": "upscale", "scale": 2.0, "upscaler": "tiny"}]
    assert size_of("large.png") == (24, 20)
    assert read_history((place / "large.png").read_bytes()).operations == (Upscale(upscaler="tiny"),)


def test_from_repeats_what_was_done_on_several_pictures(place: Path) -> None:
    assert run(["retouch", "a.png", "--upscale", "1.5", *TINY, "-o", "first.webp"]) == 0
    assert run(["retouch", "a.png", "b.png", "--from", "first.webp", "--models-dir", "models"]) == 0
    assert [size_of(f"{name}-retouched.png") for name in "ab"] == [(18, 15)] * 2
    assert run(["retouch", "a.png", "--from", "first.webp", "--models-dir", "models"]) == 0
    assert (place / "a-retouched-2.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["a.png"], "got nothing to do"),
        (["a.png", "--upscaler", "tiny"], "--upscaler without --upscale"),
        (["a.png", "--upscale", "9"], "more than 1, at most 8"),
        (["a.png", "--upscale", "2", "--upscaler", "absent"], "expected vignette"),
        (["a.png", "--from", "b.png"], "was not retouched"),
        (["a.png", "--from", "b.png", "--upscale", "2", *TINY], "got --from with operations beside it"),
        (["absent.png", "--upscale", "2", *TINY], "does not exist"),
        (["huge.png", "--upscale", "2", *TINY], "a picture of too many pixels"),
        (["a.png", "b.png", "--upscale", "2", *TINY, "-o", "c.png"], "for 2 pictures"),
        (["a.png", "--upscale", "2", *TINY, "-o", "absent/c.png"], "does not exist"),
        (["a.png", "--upscale", "2", *TINY, "-o", "c.gif"], "expected one that ends in"),
    ],
)
def test_bad_input_ends_in_a_sentence_and_leaves_nothing(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    (place / "huge.png").write_bytes(png_header(20_000, 20_000))
    before = sorted(place.rglob("*"))
    assert run(["retouch", *arguments]) == 2
    told = capsys.readouterr()
    assert complaint in told.err
    assert told.err.startswith("prima: ")
    assert len(told.err.splitlines()) == 1
    assert sorted(place.rglob("*")) == before
