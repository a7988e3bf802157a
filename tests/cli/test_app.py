from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer

import allaprima
from allaprima.cli import app as app_module
from allaprima.cli.app import COMMANDS, app, run


def test_every_file_that_holds_an_app_is_a_command() -> None:
    folder = Path(app_module.__file__).parent
    named = {
        f"allaprima.cli.{file.stem}" for file in folder.glob("*.py") if file.stem not in ("__init__", "app")
    }
    assert {name for name in named if hasattr(import_module(name), "app")} == set(COMMANDS.values())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_says_what_it_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"prima {name}" in shown
    assert "completion" not in shown


def test_help_names_every_command_in_the_tables_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    names = re.findall(r"^\W*(\w+)  ", shown, flags=re.MULTILINE)
    places = [names.index(name) for name in COMMANDS]
    assert places == sorted(places)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"prima {allaprima.__version__}\n"


def test_unknown_command_is_the_users_to_put_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pant", "a cat"]) == 2
    assert "No such command 'pant'" in capsys.readouterr().err


def test_user_error_is_one_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["paint", "a cat", "--steps", "0"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "prima: got steps 0; expected 1 to 1000\n"


def test_json_output_ends_in_a_line_even_on_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["paint", " ", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["kind"] == "RequestError"


def test_command_is_imported_when_asked_for_and_not_before() -> None:
    code = (
        "import sys; from allaprima.cli.app import COMMANDS, run; run(['show', '--help']);"
        "print(sorted(set(COMMANDS.values()) & set(sys.modules)), 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "['allaprima.cli.show'] False"


def test_console_script_starts() -> None:
    ran = subprocess.run(
        [Path(sys.executable).with_name("prima"), "--version"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, f"prima {allaprima.__version__}\n")


def test_group_finds_nothing_under_a_foreign_name() -> None:
    assert typer.main.get_command(app).get_command(None, "nope") is None  # type: ignore[attr-defined]
