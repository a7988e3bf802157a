"""Every command in the documents: parsed by the command line itself, and run, but for those that say why not."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from tests.test_docs import COMMANDS, ROOT

from allaprima.cli.app import app, run

PAGES = sorted([
    *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "recipes").glob("*.md"),
    *(ROOT / "src").rglob("*.md"),
])  # fmt: skip
NOT_RUN = {
    "make": "tests/test_makefile.py runs the targets",
    "pip install": "a person's environment is no test's",
    "python -m tests.studio.page.screenshots": "writes this repository's pictures",
    "prima cluster": "needs a studio elsewhere; tests/cli/test_cluster.py",
    "prima serve": "serves until it is stopped; tests/cli/test_serve.py",
    "prima rate": "waits for a person; tests/studio/page/test_rating.py",
    "prima report": "half a minute a card; tests/test_chinese_names.py writes one",
    "prima lora train": "takes minutes; tests/cli/test_lora_train.py",
    "prima paint a zorp": "wears what the training before it made",
    "prima evaluate": "takes minutes; tests/lab/evaluation/",
    "prima scenes": "needs the drawings; tests/cli/test_scenes.py",
    "prima distill": "takes hours; tests/cli/test_distill.py",
}
"""Commands that are parsed and not run, by how they begin, and why."""
RUN_ELSEWHERE = {"--c2pa": "tests/core/test_content_credentials.py"}
"""Options of commands that another test runs."""


def shell_lines(text: str) -> Iterator[list[str]]:
    """Yield the words of every command in the shell snippets of a page, without comments and what starts several."""
    for snippet in re.findall(r"^ *```(?:bash|sh|shell)\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE):
        whole = ""
        for line in snippet.replace("\\\n", " ").replace("$(command -v prima)", "prima").splitlines():
            whole += line
            if whole.count("'") % 2:  # a quoted text of several lines
                continue
            words, whole = shlex.split(whole, comments=True), ""
            if words and words[0] != "export":
                yield words[words.index("prima") :] if words[:2] == ["accelerate", "launch"] else words


SNIPPETS = {
    page.relative_to(ROOT).as_posix(): lines
    for page in PAGES
    if (lines := [*shell_lines(page.read_text(encoding="utf-8"))])
}


def parse(words: list[str]) -> None:
    """Let the command line read `words`, the program's name first, as it does before it runs them."""
    command: Any = typer.main.get_command(app)
    context, rest = None, words[1:]
    while hasattr(command, "list_commands"):
        name, *rest = rest
        command = command.get_command(context, name)
        assert command is not None, f"there is no command {name!r} in {shlex.join(words)}"
    command.make_context(words[1], [*rest], parent=context)


def reason_not_to_run(words: list[str]) -> str | None:
    line = " ".join(words)
    for begins, why in NOT_RUN.items():
        if line.startswith(begins):
            return why
    return next((why for option, why in RUN_ELSEWHERE.items() if option in words), None)


@pytest.mark.parametrize("page", SNIPPETS)
def test_every_command_line_can_be_read(page: str) -> None:
    for words in SNIPPETS[page]:
        if words[0] == "prima":
            parse(words)
        else:
            assert reason_not_to_run(words), f"{page}: nobody runs {shlex.join(words)}"


@pytest.mark.parametrize("page", [page.relative_to(ROOT).as_posix() for page in PAGES])
def test_commands_in_the_text_have_the_options_that_are_named(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    groups = {name.rpartition(" ")[0] for name in COMMANDS}
    for told in re.findall(r"`(prima [a-z][^`]*)`", text):
        line = " ".join(told.split())
        named = [name for name in COMMANDS if f"{line} ".startswith(f"{name} ")]
        assert named or any(f"{line} ".startswith(f"{name} ") for name in groups - {"prima"}), (
            f"{page}: {line}"
        )
        for name in named:
            known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
            assert set(re.findall(r"(?<= )--[a-z][a-z0-9-]*", line)) <= known, f"{page}: {line}"


RUNNABLE = {
    page: chosen
    for page, lines in SNIPPETS.items()
    if (chosen := [words for words in lines if reason_not_to_run(words) is None])
}


@pytest.mark.weights
@pytest.mark.parametrize("page", RUNNABLE)
def test_commands_run_as_they_stand(
    page: str,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a folder with the pictures that the page speaks of."""
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "a", "b", "c", "cat-retouched", "castle"):
        shutil.copy(picture, f"{name}.png")
    Image.new("L", (256, 256), 255).save("mask.png")
    Path("large").mkdir()
    Path("prompts.jsonl").write_text('{"prompt": "a cat", "steps": 1}\n', encoding="utf-8")
    for words in RUNNABLE[page]:
        assert run(words[1:]) == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that was painted and enlarged, so that its file tells both."""
    path = tmp_path_factory.mktemp("painted") / "cat.png"
    assert run(["paint", "a cat", "--seed", "7", "--upscale", "2", "-o", str(path)]) == 0
    return path


def test_nothing_is_excused_that_is_not_there() -> None:
    lines = [" ".join(words) for lines in SNIPPETS.values() for words in lines]
    assert [begins for begins in NOT_RUN if not any(line.startswith(begins) for line in lines)] == []
    assert sum(map(len, RUNNABLE.values())) >= 12
