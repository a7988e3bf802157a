from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.cli.paint import save_events
from allaprima.cli.targets import plan_targets
from allaprima.core.errors import PaintError
from allaprima.core.events import Event, Finished
from allaprima.core.picture_files import read_request
from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vignette(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder of its own, in which nothing half-written may be left."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list(tmp_path.rglob("*.part"))


def paint(weights: Path, *arguments: str) -> int:
    return run(["paint", "--weights", str(weights), "--steps", "2", *arguments])


def pixels(path: Path | str) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


def test_a_picture_is_named_after_its_prompt_and_its_path_printed(
    weights: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paint(weights, "A cat, on a rooftop!", "--seed", "7") == 0
    captured = capsys.readouterr()
    assert captured.out == "a-cat-on-a-rooftop-7.png\n"
    assert captured.err.startswith("seed 7; ")
    picture = folder / "a-cat-on-a-rooftop-7.png"
    assert read_request(picture) == GenerationRequest(prompt="A cat, on a rooftop!", seed=7, steps=2)
    with Image.open(picture) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (256, 256))
        assert len(set(image.get_flattened_data())) > 100


def test_an_existing_picture_is_kept_unless_o_names_it(weights: Path, folder: Path) -> None:
    for _ in range(2):
        assert paint(weights, "猫", "--seed", "7") == 0
    assert sorted(path.name for path in folder.iterdir()) == ["猫-7-2.png", "猫-7.png"]
    assert pixels("猫-7.png") == pixels("猫-7-2.png")
    before = pixels("猫-7.png")
    assert paint(weights, "猫", "--seed", "8", "-o", "猫-7.png") == 0
    assert pixels("猫-7.png") != before


def test_the_seed_is_random_and_told(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeds = set()
    for _ in range(2):
        assert paint(weights, "a cat", "--json") == 0
        captured = capsys.readouterr()
        seed = json.loads(captured.out.splitlines()[-1])["seeds"][0]
        assert f"seed {seed}; " in captured.err
        seeds.add(seed)
    assert len(seeds) == 2


def test_json_ends_stdout_with_everything(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--count", "2", "--seed", "5", "--guidance", "1.5", "--negative", "rain", "--json")
    assert paint(weights, "a cat", *options) == 0
    out = capsys.readouterr().out.splitlines()
    data = json.loads(out[-1])
    assert out[:-1] == data["paths"] == ["a-cat-5.png", "a-cat-6.png"]
    assert data["seeds"] == [5, 6]
    assert list(data["timings_ms"]) == ["load", "text", "denoise", "decode", "save"]
    assert all(ms > 0 for ms in data["timings_ms"].values())
    request = GenerationRequest(prompt="a cat", negative_prompt="rain", steps=2, guidance=1.5, seed=5)
    assert GenerationRequest.from_json(data["request"]) == request


def test_a_picture_does_not_depend_on_its_company(weights: Path) -> None:
    assert paint(weights, "a cat", "--count", "3", "--seed", "5") == 0
    assert paint(weights, "a cat", "--seed", "7", "-o", "alone.png") == 0
    assert pixels("a-cat-7.png") == pixels("alone.png") != pixels("a-cat-6.png")


@pytest.mark.parametrize(
    ("suffix", "kind"), [("png", "PNG"), ("jpg", "JPEG"), ("jpeg", "JPEG"), ("webp", "WEBP")]
)
def test_from_repaints_the_same_pixels(weights: Path, suffix: str, kind: str) -> None:
    options = ("--seed", "3", "--guidance", "2.5", "--quality", "medium", "--negative", "a, b: c")
    assert paint(weights, "a cat", "-o", f"first.{suffix}", *options) == 0
    assert (
        run(["paint", "--weights", str(weights), "--from", f"first.{suffix}", "-o", f"second.{suffix}"]) == 0
    )
    assert Path(f"first.{suffix}").read_bytes() == Path(f"second.{suffix}").read_bytes()
    with Image.open(f"second.{suffix}") as image:
        assert image.format == kind


def test_options_override_what_from_says(weights: Path) -> None:
    assert paint(weights, "a cat", "-o", "first.png", "--seed", "3", "--negative", "rain") == 0
    assert paint(weights, "a dog", "--from", "first.png", "-o", "second.png", "--guidance", "9") == 0
    expected = GenerationRequest(prompt="a dog", negative_prompt="rain", seed=3, guidance=9, steps=2)
    assert read_request(Path("second.png")) == expected


def test_previews_lie_beside_the_picture(weights: Path, folder: Path) -> None:
    assert paint(weights, "a cat", "--seed", "1", "--previews") == 0
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["a-cat-1.png", "a-cat-1.step-1.png", "a-cat-1.step-2.png"]
    assert pixels("a-cat-1.step-2.png") == pixels("a-cat-1.png") != pixels("a-cat-1.step-1.png")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "got no prompt; expected words"),
        ([""], "the prompt is empty"),
        (["x" * 10_001], "10,001 characters; expected at most 10,000"),
        (["cat", "--size", "512x512"], "got size 512x512; expected 256x256"),
        (["cat", "--size", "big"], "got size 'big'; expected width x height"),
        (["cat", "--size", "0x256"], "got width 0; expected 1 to 4096"),
        (["cat", "--steps", "0"], "got steps 0; expected 1 to 1000"),
        (["cat", "--steps", "1000000000"], "got steps 1000000000; expected 1 to 1000"),
        (["cat", "--seed", "-1"], "got seed -1; expected 0 to"),
        (["cat", "--seed", "18446744073709551616"], "got seed 18446744073709551616; expected 0 to"),
        (["cat", "--seed", "9223372036854775807", "--count", "2"], "got seed 9223372036854775808"),
        (["cat", "--guidance", "nan"], "got guidance nan"),
        (["cat", "--count", "0"], "got count 0; expected 1 to 1000"),
        (["cat", "-o", "missing/cat.png"], "the folder missing does not exist"),
        (["cat", "-o", "/proc/cat.png"], "cannot write /proc/cat.png"),
        (["cat", "-o", "cat.gif"], "expected one that ends in .png, .jpg"),
        (["cat", "-o", "cat"], "expected one that ends in .png, .jpg"),
        (["cat", "-o", "cat.png", "--format", "jpeg"], "got --format jpeg for the file cat.png"),
        (["cat", "-o", "cat.png", "--count", "2"], "got one file, cat.png, for 2 pictures"),
        (["--from", "missing.png"], "missing.png does not exist"),
        (["--from", "plain.png"], "carries no request"),
        (["--from", "text.png"], "text.png cannot be read: got a file that is text"),
        (["--from", "foreign.png"], "got base 'sd_xl'; expected vignette"),
        (["--from", "foreign.png"], "The picture names it; --base paints it with another"),
        (["cat", "-o", "-"], "got --json with a picture on stdout"),
        (["cat", "-o", "/dev/null", "--previews"], "got --previews without files"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(
    arguments: list[str], told: str, weights: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (8, 8)).save("plain.png")
    Path("text.png").write_text("hello")
    image = Image.new("RGB", (8, 8))
    image.getexif().get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0cat\nSteps: 1, Seed: 1, Size: 8x8, Model: sd_xl"
    image.save("foreign.png", format="JPEG", exif=image.getexif())
    before = sorted(folder.iterdir())
    assert run(["paint", "--weights", str(weights), *arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("prima: ")
    assert told in captured.err
    assert captured.err.count("\n") == 1
    assert told in json.loads(captured.out.splitlines()[-1])["error"]
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("name", ["text", "autoencoder", "denoiser"])
@pytest.mark.parametrize("length", [0, 5, 300, -100])
def test_a_truncated_weight_file_is_told(
    name: str, length: int, weights: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(weights, folder / "cut")
    file = folder / "cut" / f"{name}.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    assert paint(folder / "cut", "cat") == 2
    captured = capsys.readouterr()
    assert f"{name}.safetensors" in captured.err
    assert "Traceback" not in captured.err
    assert [path.name for path in folder.iterdir()] == ["cut"]


def test_missing_weights_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert paint(folder / "nowhere", "cat") == 2
    assert ".safetensors" in capsys.readouterr().err


def test_a_full_disk_is_told_and_leaves_nothing(
    weights: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        status = paint(weights, "cat", "--seed", "1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 2
    assert "cannot write cat-1.png: File too large" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_numbers_that_overflow_exit_with_1_and_no_black_picture(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = write_tiny_vignette(tmp_path_factory.mktemp("broken"), broken=True)
    assert paint(broken, "cat") == 1
    assert "stopped being finite numbers" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_what_was_painted_before_a_failure_is_kept_and_told(
    weights: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = [GenerationRequest(prompt="cat", steps=2, seed=seed) for seed in (1, 2)]
    targets = plan_targets(requests, None, None)
    events = Painter.load(folder=weights).events(*requests)

    def fail_after_the_first() -> Iterator[Event]:
        for event in events:
            yield event
            if isinstance(event, Finished):
                raise PaintError("the second picture went wrong")

    timings = dict.fromkeys(("text", "denoise", "decode", "save"), 0.0)
    with pytest.raises(PaintError):
        save_events(fail_after_the_first(), targets, 2, timings)
    assert capsys.readouterr().out == "cat-1.png\n"
    assert [path.name for path in folder.iterdir()] == ["cat-1.png"]
