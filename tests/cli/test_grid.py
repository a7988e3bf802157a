"""`prima grid`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.tiny_turbo import FOUR_STEPS, write_turbo
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.core.events import Finished
from allaprima.core.grid_files import read_grid
from allaprima.core.picture_files import import_request
from allaprima.paint.painter import Painter

SIDE = 256


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tiny_vignette(tmp_path_factory.mktemp("weights"))
    write_turbo(folder / "styles" / "ink.safetensors", FOUR_STEPS)
    return folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def grid(weights: Path, *arguments: str) -> int:
    return run(["grid", "--weights", str(weights), *arguments])


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return line


def test_each_cell_is_the_picture_of_its_request(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    axes = ("--axis", "prompt=a cat; a dog", "--axis", "seed=3..5")
    assert grid(weights, *axes, "--steps", "2", "-o", "g.png", "--json") == 0
    data = told(capsys)
    record = read_grid(Path("g.png"))
    assert record is not None
    assert record.axes == (
        {"field": "prompt", "values": ["a cat", "a dog"]},
        {"field": "seed", "values": [3, 4, 5]},
    )
    requests = [one for one in record.requests if one is not None]
    assert [(one.prompt, one.seed) for one in requests] == [
        (prompt, seed) for seed in (3, 4, 5) for prompt in ("a cat", "a dog")
    ]
    assert [one.to_json() for one in requests] == data["requests"]
    painter = Painter.load(folder=weights, device="cpu")
    with Image.open("g.png") as sheet:
        assert list(sheet.size) == data["size"]
        left, top = (side - 256 * count - 8 * count for side, count in zip(sheet.size, (2, 3), strict=True))
        assert min(left, top) > 20, "there is room for the labels"
        for number, request in enumerate(requests):
            place = left + number % 2 * 264, top + number // 2 * 264
            cell = sheet.crop((*place, place[0] + SIDE, place[1] + SIDE))
            assert cell.tobytes() == painter.paint(request).image.tobytes()
        for box in (
            (left, 0, left + SIDE, top),
            (left + 264, 0, sheet.width, top),
            (0, top, left, top + SIDE),
        ):
            assert min(sheet.crop(box).convert("L").tobytes()) < 100, "something is written there"


def test_a_lora_and_steps_and_a_third_axis_in_blocks(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = ("--axis", "lora:ink=0,0.5", "--axis", "steps=1,2", "--axis", "guidance=1,2.5")
    options = ("--lora-dir", str(weights / "styles"), "--seed", "7", "--json")
    assert grid(weights, "a cat", *axes, *options) == 0
    data = told(capsys)
    assert data["path"] == "a-cat-grid.png"
    seen = [(one["loras"][-1]["weight"], one["steps"], one["guidance"]) for one in data["requests"]]
    assert seen == [(w, s, g) for g in (1.0, 2.5) for s in (1, 2) for w in (0.0, 0.5)]
    assert {one["seed"] for one in data["requests"]} == {7}
    assert data["size"][1] > 4 * SIDE


def test_show_tells_of_a_grid_and_paint_refuses_one(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grid(weights, "a cat", "--axis", "seed=1,2", "--steps", "1", "-o", "g.png") == 0
    capsys.readouterr()
    assert run(["show", "g.png", "--json"]) == 0
    captured = capsys.readouterr().out
    assert "2 of 2 pictures" in captured
    assert [one["seed"] for one in json.loads(captured.splitlines()[-1])["grid"]["requests"]] == [1, 2]
    assert run(["paint", "--from", "g.png"]) == 2
    assert "is a grid of pictures" in capsys.readouterr().err


def test_the_request_of_a_picture_is_varied(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = ["paint", "a fox", "--weights", str(weights), "--steps", "2", "--seed", "9", "-o", "a.png"]
    assert run(start) == 0
    assert grid(weights, "--from", "a.png", "--axis", "steps=1..3", "--json") == 0
    capsys.readouterr()
    record = read_grid(Path("a-fox-grid.png"))
    assert record is not None
    first = import_request(Path("a.png")).request
    assert record.requests[1] == first


def test_what_is_painted_before_a_failure_is_kept(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Painter.events

    def stopped(self: Painter, *requests: Any, **given: Any) -> Any:
        for event in whole(self, *requests, **given):
            yield event
            if isinstance(event, Finished):
                raise KeyboardInterrupt

    monkeypatch.setattr(Painter, "events", stopped)
    assert grid(weights, "a cat", "--axis", "seed=1..3", "--steps", "1", "-o", "g.png", "--json") != 0
    assert told(capsys)["path"] == "g.png"
    record = read_grid(Path("g.png"))
    assert record is not None
    assert [one is not None for one in record.requests] == [True, False, False]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a cat", "--axis", "seed"), "expected one of prompt, negative"),
        (("a cat", "--axis", "colour=red"), "got --axis 'colour=red'"),
        (("a cat", "--axis", "seed=a"), "got seed 'a'; expected a number"),
        (("a cat", "--axis", "seed=5..1"), "the smaller first"),
        (("a cat", "--axis", "seed=1", "--axis", "seed=2"), "got seed along two axes"),
        (("a cat", *("--axis", "seed=1") * 4), "got 4 axes; expected 1 to 3"),
        (("a cat", "--axis", "seed=1..100", "--axis", "steps=1..100"), "a grid of 10000 pictures; expected at most"),
        (("a cat", "--axis", "seed=1,2", "--count", "2"), "got --count 2; expected an axis"),
        (("a cat", "--axis", "seed=1,2", "-o", "a.jpg"), "ends in .png"),
        (("--axis", "seed=1,2"), "got no prompt"),
        (("a cat", "--axis", "steps=0,1"), "got steps 0; expected 1 to 1000"),
        (("a cat", "--axis", "lora:=1"), "got --axis 'lora:=1'"),
    ],
)  # fmt: skip
def test_what_is_no_grid_is_refused(
    weights: Path, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grid(weights, *arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
