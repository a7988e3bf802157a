"""Every option of every command with odd values: whatever is typed, a person reads a sentence and a program JSON."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from allaprima.cli.app import app, run

# What makes each command stop before it does any work, whatever else it is given.
ANCHORS: dict[str, tuple[str, ...]] = {
    "paint": ("a cat", "--base", "nowhere"),
    "grid": ("a cat", "--axis", "seed=1,2", "--base", "nowhere"),
    "serve": ("--base", "nowhere", "--port", "0"),
    "batch": ("file/prompts", "-o", "file/out"),
    "cluster join": ("nowhere",),
    "cluster deploy": ("nowhere",),
    "plan": ("--base", "nowhere"),
    "doctor": ("--port", "0"),
    "show": ("nowhere.png",),
    "retouch": ("nowhere.png", "--upscale", "2"),
    "base inspect": ("nowhere.safetensors",),
    "lora list": ("--lora-dir", "nowhere"),
    "lora inspect": ("nowhere.safetensors",),
    "lora convert": ("nowhere.ckpt",),
    "lora train": ("anna", "nowhere", "--base", "nowhere"),
    "pull": ("no-owner",),
    "scenes build": ("--npm-root", "nowhere"),
    "scenes sheet": ("--count", "0"),
    "scenes layouts": ("--backgrounds", "0"),
    "train scenes": ("file/store",),
    "train pictures": ("file/store",),
    "train upscaler": ("run", "--store", "nowhere"),
    "train styled-scenes": ("file/store",),
    "train matte": ("run", "--store", "nowhere"),
    "train restyle": ("run", "--store", "nowhere"),
    "train deblock": ("run", "--store", "nowhere", "--painted", "nowhere"),
    "train painted": ("file/painted", "--cache", "nowhere"),
    "train decoder": ("run", "--store", "nowhere", "--cache", "nowhere", "--painted", "nowhere"),
    "train autoencoder": ("run", "--store", "nowhere"),
    "train text": ("run", "-o", "file/x.safetensors", "--npm-root", "nowhere"),
    "train judge": ("run", "--steps", "0"),
    "train latents": ("cache", "--store", "nowhere"),
    "train denoiser": ("run", "--cache", "nowhere"),
    "train release": ("nowhere", "autoencoder", "-o", "x.safetensors"),
    "evaluate vignette": ("--judge", "nowhere.safetensors"),
    "evaluate pictures": ("--weights", "nowhere"),
    "evaluate judge": ("--judge", "nowhere.safetensors"),
    "evaluate deblock": ("nowhere.safetensors", "--store", "nowhere", "--painted", "nowhere"),
    "evaluate retouch": ("--scenes", "0", "--upscaler", "nowhere.safetensors"),
    "evaluate distill": ("--student", "a=nowhere"),
    "report": ("nowhere",),
    "rate": ("nowhere/a", "nowhere/b"),
    "distill turbo": ("--run", "run", "--base", "nowhere", "--updates", "1"),
    "distill lcm": ("--run", "run", "--base", "nowhere", "--updates", "1"),
    "distill add": ("--run", "run", "--base", "nowhere", "--updates", "1"),
    "distill dmd": ("--run", "run", "--base", "nowhere", "--updates", "1"),
    "distill paths": ("--run", "run", "--base", "nowhere"),
}
ODD = (
    "", " ", "abc", "-1", "0", "nan", "1e999", "9" * 40, "1.5", "-inf", "0x10", "\x1b[31mred\x07", "猫🐱\u202e",
    "x" * 5000, "../../../etc", "~nobody-here/x", "$HOME/${x", "/proc/self/mem", "/dev/null", ".", "/", "file",
    "empty", "noise", "pipe", "folder", "loop", "a=b=c", "a:b:c", "<lora:x:1>", "--", "-",
    "\udcff", "%s%n{0}", "a\nb\tc",
    "torn.safetensors", "1,5", "٣",
)  # fmt: skip
CASES_A_COMMAND = 12


def commands() -> Iterator[tuple[str, Any]]:
    """Yield each command that does something, by the words that call it."""
    group: Any = typer.main.get_command(app)
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        inner = getattr(command, "commands", None)
        yield from ((f"{name} {sub}", one) for sub, one in inner.items()) if inner else [(name, command)]


def lines() -> Iterator[list[str]]:
    """Yield command lines: each option with odd values, odd arguments, options twice, unknown and without a value."""
    for name, command in commands():
        draw, start = random.Random(name), [*name.split(), "--json"]
        names = [option.opts[0] for option in command.params if option.opts[0].startswith("-")]
        names = [one for one in names if one not in ("--help", "--json")] or ["--"]
        for number in range(CASES_A_COMMAND):
            option, odd = names[number % len(names)], draw.choice(ODD)
            yield [*start, *ANCHORS[name], option, odd]
            if number % 6 == 0:
                yield [*start, odd, draw.choice(ODD), "--no-such-option"]
                yield [*start, *ANCHORS[name], option]


LINES = [*lines()]


@pytest.fixture
def oddities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with files that are not what they should be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "file").write_text("hello")
    (tmp_path / "empty").touch()
    (tmp_path / "noise").write_bytes(random.Random(0).randbytes(5000))
    (tmp_path / "torn.safetensors").write_bytes(b"\xff\0\0\0\0\0\0\0{")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


def test_there_is_an_anchor_for_every_command() -> None:
    assert {name for name, _ in commands()} == set(ANCHORS)
    assert len(LINES) >= 300


@pytest.mark.parametrize("line", LINES, ids=lambda line: ascii(" ".join(line))[:60])
def test_whatever_is_typed_a_sentence_answers(
    line: list[str], oddities: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    del oddities
    status = run(line)
    out, err = capfd.readouterr()
    assert status == 2, err
    assert err.startswith("prima: ")
    assert all(char.isprintable() or char == "\n" for char in err)
    assert "Traceback" not in err
    told = [text for text in out.splitlines() if text.startswith("{")]
    assert len(told) == 1
    assert out.endswith(told[0] + "\n")
    assert set(json.loads(told[0])) >= {"error", "kind"}
