"""`prima rate` without its page: what is painted, what is refused, what results say."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.studio.rating.folders_of_colors import write_folders
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.core.picture_files import read_request
from allaprima.studio.rating.folders import digest_of, read_folder
from allaprima.studio.rating.pairing import draw_pairs
from allaprima.studio.rating.votes import Votes


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vignette(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list(tmp_path.rglob("*.part"))


def vote(names: list[str], folders: list[Path], place: Path) -> None:
    """Prefer the first of `names` in every pair but one."""
    read = [read_folder(name, path) for name, path in zip(names, folders, strict=True)]
    pictures = sorted(read[0].pictures)
    votes = Votes(place, names, draw_pairs(2, pictures, 0), digest_of(read, pictures))
    for pair in votes.pairs:
        votes.cast(pair.number, "tie" if pair.number == 0 else "left" if pair.left == 0 else "right")


def place_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return where the command keeps its votes, as it says when there are none."""
    assert run(["rate", "better", "worse", "--results"]) == 2
    told = capsys.readouterr().err
    return folder / told.partition("no vote in ")[2].partition(";")[0]


def test_results_and_csv_without_the_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = write_folders(folder, 12)
    vote(["better", "worse"], folders, place_of(folder, capsys))
    assert run(["rate", "better", "worse", "--results", "--csv", "votes.csv", "--json"]) == 0
    out = capsys.readouterr().out
    assert "better is preferred" in out
    line = json.loads(out.splitlines()[-1])
    assert [one["name"] for one in line["standings"]] == ["better", "worse"]
    assert (line["votes"], line["pairs"], line["csv"]) == (12, 12, "votes.csv")
    with (folder / "votes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["preferred"] for row in rows] == [""] + ["better"] * 11


def test_specifications_are_painted_alike_and_once(
    folder: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "prompts.txt").write_text("a cat\n\n猫\n", encoding="utf-8")
    options = [
        "--prompts",
        "prompts.txt",
        "--weights",
        str(weights),
        "--count",
        "3",
        "--seed",
        "5",
        "--results",
    ]
    assert run(["rate", "steps:1", "steps:2,guidance:1", *options]) == 2
    told = capsys.readouterr().err
    assert "steps:1: 3 painted" in told
    assert "no vote in ratings" in told
    one, two = sorted(path for path in (folder / "ratings").iterdir() if path.is_dir())
    assert [path.name for path in sorted(one.iterdir())] == ["1-a-cat.png", "2-猫.png", "3-a-cat.png"]
    for path in one.iterdir():
        first, second = read_request(path), read_request(two / path.name)
        assert (first.steps, second.steps) == (1, 2)
        assert (first.prompt, first.seed) == (second.prompt, second.seed)
    assert sorted(read_request(path).seed for path in one.iterdir()) == [5, 6, 7]
    (one / "2-猫.png").unlink()
    assert run(["rate", "steps:1", "steps:2,guidance:1", *options]) == 2
    told = capsys.readouterr().err
    assert "steps:1: 1 painted" in told
    assert "steps:2,guidance:1: 0 painted" in told


@pytest.mark.parametrize(
    ("rated", "told"),
    [
        (["better"], "at least two"),
        (["better", "nowhere/b"], "no folder"),
        (["better", "turbo:4:5"], "expected a number"),
        (["better", "nonsense"], "neither a folder nor a way of painting"),
        (["better", ""], "neither a folder"),
        (["better", "better"], "at least two"),
        (["better", "worse", "--csv", "nowhere/votes.csv"], "nowhere"),
        (["better", "worse", "--prompts", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_mistakes_are_told(
    folder: Path, rated: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folders(folder, 2)
    assert run(["rate", *rated, "--results"]) == 2
    assert told in capsys.readouterr().err


def test_turbo_is_demanded(folder: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folders(folder, 2)
    assert run(["rate", "better", "turbo:4", "--weights", str(weights), "--count", "1"]) == 2
    assert "no turbo LoRA fits" in capsys.readouterr().err


def test_votes_on_other_pictures_are_not_mixed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = write_folders(folder, 3)
    vote(["better", "worse"], folders, place_of(folder, capsys))
    shutil.copy(folders[0] / "cat-00.png", folders[1] / "cat-00.png")
    assert run(["rate", "better", "worse", "--results"]) == 2
    assert "another rating" in capsys.readouterr().err
