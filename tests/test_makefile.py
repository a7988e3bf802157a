"""`make` as people use it: what is typed arrives untouched, and nothing is done twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ECHO = "#!/usr/bin/env python3\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n"
NASTY = [
    'a "cat" on a roof; touch HURT',
    "it's a $HOME of `touch HURT` $(touch HURT)",
    "$(shell touch HURT) ${MAKE} $$ 50% # no comment",
    "two\nlines \\ and | pipes & more > HURT",
    "-o --help",
    "雪山下的一只狐狸",
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with the Makefile and an environment that is ready and only repeats its arguments."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    binaries = tmp_path / ".venv/bin"
    binaries.mkdir(parents=True)
    for name in ("prima", "python"):
        (binaries / name).write_text(ECHO, encoding="utf-8")
        (binaries / name).chmod(0o755)
    for stamp in (".runtime", ".dev"):
        (tmp_path / ".venv" / stamp).touch()
    return tmp_path


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a shell of its own, not as a child of the make that runs the tests."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    without = {
        key: value for key, value in inherited.items() if key not in ("PROMPT", "ARGS", "PYTHON", "COVERAGE")
    }
    command = ["make", "--no-print-directory", *arguments]
    env = without | environment
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("prompt", NASTY)
def test_prompt_arrives_untouched(checkout: Path, prompt: str) -> None:
    ran = make(checkout, "paint", f"PROMPT={prompt}")
    assert json.loads(ran.stdout) == ["paint", "--", prompt], ran.stderr
    assert not (checkout / "HURT").exists()


def test_prompt_from_the_environment_arrives_untouched(checkout: Path) -> None:
    ran = make(checkout, "paint", PROMPT=NASTY[2])
    assert json.loads(ran.stdout) == ["paint", "--", NASTY[2]]
    assert not (checkout / "HURT").exists()


def test_further_options_come_before_the_prompt(checkout: Path) -> None:
    ran = make(checkout, "paint", "PROMPT=a cat", "ARGS=--seed 7 -o 'my cat.png'")
    assert json.loads(ran.stdout) == ["paint", "--seed", "7", "-o", "my cat.png", "--", "a cat"]


def test_paint_without_a_prompt_says_what_to_type(checkout: Path) -> None:
    ran = make(checkout, "paint")
    assert ran.returncode == 2
    assert ran.stderr.startswith("Say what to paint")


def test_old_python_is_refused_in_a_sentence(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    old = checkout / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.1\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    ran = make(checkout, "paint", "PROMPT=a cat", f"PYTHON={old}")
    assert ran.returncode == 2
    assert "Alla Prima needs Python 3.11 or newer" in ran.stderr
    assert "Python 3.8.1" in ran.stderr
    assert not (checkout / ".venv").exists()


def test_set_up_happens_again_only_when_its_files_changed(checkout: Path) -> None:
    assert make(checkout, "--question", "setup-dev").returncode == 0
    later = (checkout / ".venv/.dev").stat().st_mtime + 10
    os.utime(checkout / "constraints.txt", (later, later))
    assert make(checkout, "--question", "setup-dev").returncode == 1
    ran = make(checkout, "setup")
    assert ran.returncode == 0, ran.stderr
    installs = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [line[-1] for line in installs] == ["torch==2.13.0", "."]


def test_a_long_subject_is_refused_once_the_hook_is_on(checkout: Path) -> None:
    shutil.copytree(ROOT / ".githooks", checkout / ".githooks")
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    (checkout / ".venv/.dev").unlink()
    assert make(checkout, "setup-dev").returncode == 0

    def commit(subject: str) -> subprocess.CompletedProcess[str]:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        command = ["git", *who, "commit", "--allow-empty", "--quiet", "--message", f"{subject}\n\n{'b' * 70}"]
        return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)

    assert commit("ü" * 55).returncode == 0
    assert (
        commit("Merge branch 'a' into b, with a subject that git chose and nobody shortens").returncode == 0
    )
    refused = commit("s" * 56)
    assert refused.returncode == 1
    assert "got a subject of 56 characters; expected 55 at most" in refused.stderr


def test_without_a_repository_no_hook_is_set(checkout: Path) -> None:
    (checkout / ".venv/.dev").unlink()
    assert make(checkout, "setup-dev").returncode == 0
    assert not (checkout / ".git").exists()


def test_tests_run_on_two_workers_with_a_thread_each(checkout: Path) -> None:
    ran = make(checkout, "--dry-run", "test", "ARGS=tests/core")
    assert "OMP_NUM_THREADS=1" in ran.stdout
    assert ran.stdout.rstrip().endswith('-n logical --maxprocesses 2 -m "not slow"  tests/core')


def test_plain_make_says_what_there_is(checkout: Path) -> None:
    ran = make(checkout)
    assert "make paint PROMPT=" in ran.stdout
    assert "make test" in ran.stdout
