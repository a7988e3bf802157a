"""`prima paint` with choices in its words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.core.picture_files import import_request

TEMPLATE = "a {red|blue|green|grey} __animal__"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vignette(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/wildcards/动物").mkdir(parents=True)
    (tmp_path / "models/wildcards/动物/animal.txt").write_text("cat\nfox\n狐狸\n", encoding="utf-8")
    return tmp_path


def paint(weights: Path, *arguments: str) -> int:
    return run(["paint", "--weights", str(weights), "--steps", "1", *arguments])


def test_the_words_are_the_prompt_and_the_template_lies_beside_them(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paint(weights, TEMPLATE, "--seed", "3", "--count", "4", "--json") == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out.splitlines()[-1])
    requests = [import_request(Path(path)).request for path in told["paths"]]
    assert [request.prompt for request in requests] == told["prompts"]
    assert len(set(told["prompts"])) > 1
    assert {request.template for request in requests} == {TEMPLATE}
    assert all(f"seed {one.seed}: {one.prompt}" in captured.err for one in requests)
    with Image.open(told["paths"][0]) as image:
        assert image.info["parameters"].startswith(requests[0].prompt + "\n")
        assert f"Template: {TEMPLATE}" in image.info["parameters"]


def test_a_picture_is_painted_again_from_its_words_and_another_prompt_has_no_template(weights: Path) -> None:
    assert paint(weights, TEMPLATE, "--seed", "3", "-o", "a.png") == 0
    Path("models/wildcards/动物/animal.txt").write_text("dog")
    assert paint(weights, "--from", "a.png", "-o", "b.png") == 0
    first, second = (import_request(Path(name)).request for name in ("a.png", "b.png"))
    assert first == second
    assert Image.open("a.png").tobytes() == Image.open("b.png").tobytes()
    assert paint(weights, "a lion", "--from", "a.png", "-o", "c.png") == 0
    assert import_request(Path("c.png")).request.template == ""


def test_a_wildcard_without_a_file_is_told_on_every_output(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paint(weights, "a __dragon__", "--seed", "3", "--json") == 0
    captured = capsys.readouterr()
    told = "the prompt holds '__dragon__', a wildcard without a file, which this base reads as letters"
    assert told in captured.err
    assert told in json.loads(captured.out.splitlines()[-1])["remarks"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("a __../secret__",), "expected the name of a file in the folder"),
        (
            ("a cat", "--wildcard-dir", "nowhere"),
            "got nowhere as the folder of wildcards, which is not there",
        ),
        (("{|}",), "the prompt is empty"),
    ],
)
def test_what_cannot_be_chosen_is_refused(
    weights: Path, arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paint(weights, *arguments) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
