"""`prima retouch` cuts out, exchanges backgrounds and restyles, with small networks in place of the shipped ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.tiny_retouch import disc_before, tiny_matte_network, tiny_restyler, write_network
from tests.tiny_sam import write_tiny_sam

from allaprima.cli.app import run
from allaprima.core.picture_files import read_history
from allaprima.core.retouch import CutOut, NewBackground, Restyle


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_network(monkeypatch, tmp_path, bias=50)
    monkeypatch.setattr(
        "allaprima.paint.retouch.restyle.RESTYLE_PATH",
        write_network(tmp_path / "weights" / "restyle.safetensors", tiny_restyler()),
    )
    disc_before("#2040d0")[0].save(tmp_path / "a.png")
    Image.new("RGB", (40, 30), "#d0a020").save(tmp_path / "style.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def use_network(monkeypatch: pytest.MonkeyPatch, folder: Path, bias: float) -> None:
    path = write_network(folder / "weights" / "matte.safetensors", tiny_matte_network(bias))
    monkeypatch.setattr("allaprima.paint.retouch.finders.MATTE_PATH", path)


def test_it_cuts_out_and_says_so_in_the_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["retouch", "a.png", "--cut-out", "-o", "b.png", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["retouch"] == [{"operation": "cut-out", "finder": "vignette", "points": [], "box": None}]
    assert read_history((place / "b.png").read_bytes()).operations == (CutOut(),)
    assert run(["retouch", "style.png", "--from", "b.png", "-o", "c.png"]) == 0
    assert (place / "c.png").is_file()


def test_a_sam_is_pointed_with(place: Path) -> None:
    write_tiny_sam(place / "models" / "sams" / "tiny-sam")
    words = ["retouch", "a.png", "--cut-out", "--finder", "tiny-sam", "--models-dir", "models"]
    code = run([*words, "--point", "30,30", "--point", "20,40", "-o", "b.png"])
    # An untrained one may find nothing, and then says so.
    assert code in {0, 2}
    assert (place / "b.png").is_file() == (code == 0)
    assert run([*words, "--point", "30,300"]) == 2


@pytest.mark.weights
def test_it_paints_another_background(place: Path) -> None:
    assert run(["retouch", "a.png", "--background", "a beach", "--background-seed", "3", "-o", "b.png"]) == 0
    done = read_history((place / "b.png").read_bytes()).operations
    assert done == (NewBackground(prompt="a beach", seed=3),)


def test_it_restyles_and_does_several_things_in_order(place: Path) -> None:
    words = [
        "retouch",
        "a.png",
        "--restyle",
        "style.png",
        "--style-strength",
        "0.5",
        "--cut-out",
        "-o",
        "b.png",
    ]
    assert run(words) == 0
    done = read_history((place / "b.png").read_bytes()).operations
    assert done == (CutOut(), Restyle(style="style.png", strength=0.5))


def test_a_style_picture_called_as_a_style_is_repeated_by_its_file(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its record is not that of the style that ships, so what cannot be repeated is said."""
    (place / "style.png").rename(place / "flat.png")
    assert run(["retouch", "a.png", "--restyle", "flat.png", "-o", "b.png"]) == 0
    assert run(["retouch", "a.png", "--from", "b.png", "-o", "c.png"]) == 0
    assert (place / "b.png").read_bytes() == (place / "c.png").read_bytes()
    (place / "flat.png").unlink()
    capsys.readouterr()
    assert run(["retouch", "a.png", "--from", "b.png", "-o", "d.png"]) == 2
    assert "got the style 'flat.png'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--cut-out", "--background", "x"], "expected one of them"),
        (["--point", "1,2"], "expected them with --cut-out"),
        (["--cut-out", "--point", "1"], "expected 2 numbers"),
        (["--cut-out", "--box", "1,2,3,x"], "expected 4 numbers"),
        (["--cut-out", "--point", "1,2"], "expected them with a SAM"),
        (["--cut-out", "--finder", "absent"], "got the finder 'absent'"),
        (["--cut-out", "--finder", "a.png"], "finds no subjects"),
        (["--background", " "], "the prompt is empty"),
        (["--cut-out", "--background-seed", "0"], "--background-seed without --background"),
        (["--cut-out", "-o", "b.jpg"], "expected .png or .webp"),
        (["--cut-out", "--restyle", "flat", "--format", "jpeg"], "expected .png or .webp"),
        (["--restyle", "baroque"], "expected fluent, flat, line, noto"),
        (["--restyle", "broken.png"], "header is damaged"),
        (["--restyle", "flat", "--style-strength", "2"], "expected 0 to 1"),
        (["--style-strength", "0.5"], "without --restyle"),
    ],
)
def test_bad_input_ends_in_a_sentence_and_leaves_nothing(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    before = sorted(place.rglob("*"))
    assert run(["retouch", "a.png", *arguments]) == 2
    told = capsys.readouterr().err
    assert complaint in told
    assert len(told.splitlines()) == 1
    assert sorted(place.rglob("*")) == before


def test_nothing_that_stands_out_is_a_sentence(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_network(monkeypatch, place, bias=-50)
    before = sorted(place.rglob("*"))
    assert run(["retouch", "a.png", "--cut-out"]) == 2
    assert "nothing stands out" in capsys.readouterr().err
    assert sorted(place.rglob("*")) == before
