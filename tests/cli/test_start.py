"""`prima paint` over a picture: what it keeps, what files say of it, and what is refused in a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.core.test_picture_opening import png_of
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.core.picture_files import read_infotext


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vignette(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with a picture and masks in it."""
    monkeypatch.chdir(tmp_path)
    Image.effect_noise((256, 256), 90).convert("RGB").save("old.png")
    mask = Image.new("L", (256, 256), 0)
    mask.paste(255, (64, 64, 192, 192))
    mask.save("mask.png")
    Image.new("L", (256, 256), 0).save("black.png")
    Image.new("L", (64, 64), 255).save("small.png")
    Path("broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    Path("huge.png").write_bytes(png_of(20_000, 20_000))
    yield tmp_path
    assert not list(tmp_path.rglob("*.part"))


def paint(weights: Path, *arguments: str) -> int:
    return run(["paint", "--weights", str(weights), *arguments])


def opened(path: str) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def infotext(path: str) -> str:
    with Path(path).open("rb") as file:
        return read_infotext(file) or ""


def test_what_the_mask_keeps_stays_to_the_bit(weights: Path) -> None:
    command = ["a cat", "--steps", "2", "--seed", "1", "-o", "new.png"]
    assert paint(weights, *command, "--init", "old.png", "--mask", "mask.png") == 0
    old, new = opened("old.png"), opened("new.png")
    assert old.crop((64, 64, 192, 192)).tobytes() != new.crop((64, 64, 192, 192)).tobytes()
    for each in (old, new):
        each.paste("black", (64, 64, 192, 192))
    assert old.tobytes() == new.tobytes()
    assert infotext("new.png").endswith("Denoising strength: 1.0, Inpaint area: Whole picture")


def test_a_window_of_a_large_picture_is_painted_at_the_bases_size(weights: Path) -> None:
    large, mask = Image.effect_noise((700, 500), 90).convert("RGB"), Image.new("RGBA", (700, 500), "white")
    mask.paste((0, 0, 0, 0), (600, 400, 660, 430))
    large.save("large.png")
    mask.save("clear.png")
    command = ["a cat", "--steps", "1", "-o", "new.png", "--init", "large.png", "--mask", "clear.png"]
    assert paint(weights, *command, "--padding", "16") == 0
    new = opened("new.png")
    assert new.size == (700, 500)
    for each in (large, new):
        each.paste("black", (600, 400, 660, 430))
    assert large.tobytes() == new.tobytes()
    assert "Inpaint area: Only masked" in infotext("new.png")


def test_sides_are_added_and_a_file_says_which(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--steps", "1", "--seed", "5", "--json"]
    assert (
        paint(
            weights, "a beach", *command, "--init", "old.png", "--outpaint", "left=64,top=32", "-o", "1.png"
        )
        == 0
    )
    assert opened("1.png").size == (320, 288)
    assert opened("1.png").crop((64, 32, 320, 288)).tobytes() == opened("old.png").tobytes()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["request"]["seed"] == 5
    # The file says how, so that the picture is all that is missing.
    assert paint(weights, "--from", "1.png", "--init", "old.png", "-o", "2.png") == 0
    assert opened("2.png").tobytes() == opened("1.png").tobytes()
    assert "it does not hold" not in capsys.readouterr().err


def test_a_file_repeats_the_strength_and_says_what_it_does_not_hold(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    over = ["a cat", "--steps", "4", "--seed", "1", "--init", "old.png", "--strength", "0.5"]
    assert paint(weights, *over, "-o", "plain.png") == 0
    assert paint(weights, *over, "--mask", "mask.png", "-o", "part.png") == 0
    capsys.readouterr()
    assert paint(weights, "--from", "plain.png", "--init", "old.png", "-o", "again.png") == 0
    assert opened("again.png").tobytes() == opened("plain.png").tobytes()
    assert "it does not hold" not in capsys.readouterr().err
    assert paint(weights, "--from", "plain.png", "-o", "words.png") == 0
    told = "plain.png was painted over another picture (strength 0.5), which it does not hold; words alone"
    assert told in capsys.readouterr().err
    assert paint(weights, "--from", "part.png", "--init", "old.png", "-o", "whole.png") == 0
    told = "part.png was painted over a part of another picture (strength 0.5), whose mask it does not hold"
    assert told in capsys.readouterr().err
    assert (
        paint(weights, "--from", "part.png", "--init", "old.png", "--mask", "mask.png", "-o", "same.png") == 0
    )
    assert opened("same.png").tobytes() == opened("part.png").tobytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--mask", "mask.png"], "got --mask without --init; expected the picture to start from"),
        (["--strength", "0"], "got --strength without --init"),
        (["--init", "nowhere.png"], "nowhere.png does not exist; expected a picture file"),
        (["--init", "broken.png"], "broken.png cannot be read"),
        (
            ["--init", "huge.png"],
            "huge.png cannot be read: got a picture of too many pixels; expected at most 134,217,728",
        ),
        (
            ["--init", "old.png", "--mask", "huge.png"],
            "huge.png cannot be read: got a picture of too many pixels",
        ),
        (["--init", "old.png", "--mask", "small.png"], "got a mask of 64x64 pixels; expected 256x256"),
        (["--init", "old.png", "--mask", "black.png"], "got a mask that keeps every pixel"),
        (["--init", "old.png", "--strength", "1.5"], "got strength 1.5; expected 0 to 1"),
        (["--init", "old.png", "--padding", "8"], "got a padding without a mask"),
        (["--init", "old.png", "--feather", "8"], "got a feather without a mask"),
        (["--init", "old.png", "--outpaint", "up=3"], "got outpaint 'up=3'; expected left, top"),
        (["--init", "old.png", "--outpaint", "left=8", "--mask", "mask.png"], "got a mask and sides"),
        (
            ["--init", "old.png", "--outpaint", "left=8", "--size", "256x256"],
            "got a size for a picture that is",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    weights: Path, folder: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.iterdir())
    assert paint(weights, "a cat", *arguments) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert sorted(folder.iterdir()) == before
