"""Where commands end: exit codes, sentences, JSON lines, signals and outputs that cannot be written."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.cli.edge import TRACEBACK, EndedError, StoppedError, tell
from allaprima.cli.output import JsonLine
from allaprima.core.errors import PaintError, UserError

START = "from allaprima.cli.app import main; main()"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vignette(tmp_path_factory.mktemp("weights"))


def prima(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", START, *arguments],
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["paint", "a cat", "--seed", "abc"], "got --seed 'abc'; expected a valid integer"),
        (["paint", "a cat", "--format", "gif"], "--format: 'gif' is not one of"),
        (["paint", "a cat", "--stepps", "4"], "No such option: --stepps"),
        (["paint", "-1 cat"], "No such option: -1 (words that begin with a dash come last, behind --)"),
        (["paint", "a cat", "--seed"], "--seed"),
        (["paint", "a", "b"], "unexpected extra argument"),
        (["serve", "--port", "99999"], "got --port '99999'; expected less than or equal to 65535"),
        (
            ["train", "denoiser", "x", "--cache", "c", "--budget", "9"],
            "--budget: got the time '9'; expected a number",
        ),
        (["show"], "Missing argument"),
        (["lora", "lisp"], "No such command 'lisp'"),
        (["lora", "list", "--lora-dir", "nowhere"], "nowhere"),
    ],
)
def test_json_ends_stdout_whatever_is_wrong(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [*arguments[:1], "--json", *arguments[1:]] if arguments[0] != "lora" else [*arguments, "--json"]
    assert run(line if arguments[0] != "train" else [*arguments, "--json"]) == 2
    out, err = capsys.readouterr()
    assert told in json.loads(out)["error"]
    assert err.startswith("prima: ")
    assert err.count("\n") == 1


def test_help_with_json_ends_in_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "--json", "--help"]) == 0
    assert "version" in json.loads(capsys.readouterr().out.splitlines()[-1])


def test_json_as_a_word_to_paint_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["paint", "--steps", "0", "--", "--json"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (UserError("got a; expected b"), 2, "got a; expected b"),
        (PaintError("it went wrong"), 1, "it went wrong"),
        (OSError(28, "No space left on device", "x.log"), 2, r"No space left on device \(x.log\); expected"),
        (MemoryError(), 1, "out of memory"),
        (RecursionError("deep\nand deeper"), 1, r"wrong in prima itself \(RecursionError: deep and deeper\)"),
        (StoppedError(KeyboardInterrupt()), 130, "interrupted"),
        (StoppedError(EndedError(signal.SIGTERM)), 143, "ended by SIGTERM"),
    ],
)
def test_every_error_is_a_sentence(
    error: Exception,
    status: int,
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(TRACEBACK, raising=False)
    line = JsonLine()
    line.finished["paths"] = ["a.png"]
    assert tell(error, line, as_json=True) == status
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert re.search(told, data["error"])
    assert data["paths"] == ["a.png"]
    assert err == f"prima: {data['error']}\n"


def test_the_traceback_of_our_own_faults_can_be_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRACEBACK, "1")
    tell(ZeroDivisionError("x"), JsonLine(), as_json=False)
    assert "ZeroDivisionError: x" in capsys.readouterr().err.splitlines()[-1]
    tell(UserError("x"), JsonLine(), as_json=False)
    assert capsys.readouterr().err == "prima: x\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_is_done_is_told_when_a_command_is_stopped(
    number: signal.Signals, weights: Path, tmp_path: Path
) -> None:
    line = ["paint", "a cat", "--weights", str(weights), "--steps", "100", "--count", "999", "--json"]
    process = subprocess.Popen(
        # A script's background jobs ignore SIGINT, and so would this one.
        [
            sys.executable,
            "-c",
            f"import signal; signal.signal(2, signal.default_int_handler); {START}",
            *line,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    end = time.monotonic() + 100
    while not list(tmp_path.glob("*.png")) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    data = json.loads(out.splitlines()[-1])
    assert data["paths"] == out.splitlines()[:-1]
    assert sorted(data["paths"]) == sorted(path.name for path in tmp_path.iterdir())
    assert len(data["seeds"]) == len(data["paths"]) > 0
    assert data["error"] in err
    assert "Traceback" not in err


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8", "cp1252:strict"])
def test_every_terminal_is_told_every_name(encoding: str, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "é").mkdir()
    for options in ([], ["--json"]):
        line = [
            "paint",
            "一只狐狸🦊",
            "--weights",
            str(weights),
            "--steps",
            "1",
            "-o",
            str(tmp_path / "é"),
            *options,
        ]
        done = prima(*line, PYTHONIOENCODING=encoding)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        text = done.stdout.decode(encoding.partition(":")[0]).splitlines()
        assert len(text) == 1 + len(options)
        if options:
            (path,) = json.loads(text[-1])["paths"]
            assert Path(path).is_file()
            assert json.loads(text[-1])["request"]["prompt"] == "一只狐狸🦊"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_an_output_that_is_full_closed_or_left_is_no_traceback(tmp_path: Path) -> None:
    for line, redirect in (
        ("--help", ">/dev/full"),
        ("--version", ">/dev/full"),
        (f"show {tmp_path}/x.png --json", ">/dev/full"),
        ("--version", ">&-"),
        ("--version", ">&- 2>&-"),
        ("paint --help", "| true"),
    ):
        shell = f'exec 3>&2; "{sys.executable}" -c "{START}" {line} {redirect}'
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr


def test_a_warning_is_a_sentence(tmp_path: Path) -> None:
    code = "import warnings; from allaprima.cli.edge import prepare_process; prepare_process(); warnings.warn('a b')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stderr == "prima: a b\n"
