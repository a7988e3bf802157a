"""The documents against the program: commands, options, links, file tree, snippets."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image

import allaprima
from allaprima.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "lab-notes").rglob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(name: str, command: Any) -> dict[str, Any]:
    """Return each command that does something under its whole name, such as "prima scenes sheet"."""
    if not hasattr(command, "list_commands"):
        return {name: command}
    children = [(child, command.get_command(None, child)) for child in command.list_commands(None)]
    return {
        full: one for child, group in children for full, one in commands(f"{name} {child}", group).items()
    }


COMMANDS = commands("prima", typer.main.get_command(app))


def prose(page: Path) -> str:
    """Return a page without its code, where brackets are no links."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors that headings of the page make, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_command_page_is_what_the_commands_say() -> None:
    command = ["-m", "typer", "allaprima.cli.app", "utils", "docs", "--name", "prima", "--title", "Commands"]
    ran = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
    page = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert page.strip() == ran.stdout.strip(), "the commands changed: run make docs"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_says_what_it_is_for(name: str) -> None:
    command = COMMANDS[name]
    assert command.help, f"{name} says nothing in --help"
    assert [one.name for one in command.params if not one.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_json(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)


def test_readme_names_only_commands_and_options_that_are_there() -> None:
    lines = re.findall(r"^(prima .+)$", README, flags=re.MULTILINE)
    assert lines
    for line in lines:
        name = next((name for name in COMMANDS if line.startswith(name)), None)
        assert name, f"README: no such command: {line}"
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", line.split("#")[0])) <= known, f"README: {line}"


def test_readme_options_of_paint_are_there() -> None:
    table = re.findall(r"^\| `(--?[a-z-]+)", README, flags=re.MULTILINE)
    known = {option for parameter in COMMANDS["prima paint"].params for option in parameter.opts}
    assert len(table) >= 5
    assert set(table) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{page.name}: no heading for {link}"


def test_make_targets_in_the_documents_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    there = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    for page in PAGES:
        named = set(
            re.findall(r"(?:^|`)make ([a-z][a-z-]*)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        )
        assert named <= there, f"{page.name} names a target that the Makefile lacks"


def test_file_tree_in_the_readme_is_the_tree() -> None:
    tree = README.partition("## File tree")[2].split("```")[1]
    above: list[str] = []
    for line in tree.strip("\n").splitlines():
        entry, _, comment = line.strip().partition(" ")
        depth = (len(line) - len(line.lstrip())) // 2
        above = [*above[:depth], entry]
        assert (ROOT / "".join(above)).exists(), f"{entry} is in the README and not on disk"
        assert comment.strip(), f"{entry} has no comment"
    package = ROOT / "src/allaprima"
    parts = {
        f"{path.parent.name}/"
        for path in package.rglob("__init__.py")
        if len(path.relative_to(package).parts) < 4
    }
    assert {part for part in parts if part not in tree} == set()


def outline(page: Path) -> list[str]:
    """Return what a page is made of, without its words: headings by depth, code, pictures, and rows of tables."""
    parts, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = not inside
            parts += [line] if inside else []
        elif not inside and (found := re.match(r"#+ |!\[|\|", line)):
            parts.append(found[0])
    return parts


def test_the_readme_in_chinese_has_the_same_structure() -> None:
    """But for the file tree, whose words are English in both."""
    english = outline(ROOT / "README.md")
    chinese = outline(ROOT / "README.zh.md")
    english.remove("```")  # the only code without a language
    assert english == chinese
    for code in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL):
        commands = [line.split("  #")[0].rstrip() for line in code.splitlines()]
        told = (ROOT / "README.zh.md").read_text(encoding="utf-8")
        assert all(command in told for command in commands), commands


@pytest.mark.parametrize("guide", ["studio", "python"])
def test_guides_in_two_languages_lead_to_each_other(guide: str) -> None:
    english, chinese = (ROOT / f"docs/guides/{guide}{ending}" for ending in (".md", ".zh.md"))
    assert f"]({chinese.name})" in english.read_text(encoding="utf-8")
    assert f"]({english.name})" in chinese.read_text(encoding="utf-8")
    titles = [
        len(re.findall(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE))
        for page in (english, chinese)
    ]
    assert titles[1] >= titles[0] - 2  # what only maintainers and proxies need is English


def test_python_in_the_documents_compiles_and_imports_names_that_exist() -> None:
    for page in PAGES:
        for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.ImportFrom) and node.module == "allaprima":
                    assert {alias.name for alias in node.names} <= set(dir(allaprima))


@pytest.mark.weights
@pytest.mark.parametrize(
    ("page", "kept", "folder"), [("python.md", "cat.png", "foxes"), ("python.zh.md", "狐狸.png", "四只狐狸")]
)
def test_the_python_guide_runs_as_it_stands(
    page: str, kept: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / "docs/guides" / page).read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL):
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # a remark of the painter's is a warning, and meant
            exec(compile(code, f"docs/guides/{page}", "exec"), names)
    with Image.open(tmp_path / kept) as image:
        assert image.size == (256, 256)
    assert len(list((tmp_path / folder).glob("*.png"))) == 4
