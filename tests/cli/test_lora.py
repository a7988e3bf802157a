from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny_loras import make_updates, qwen_networks, save, spell

from allaprima.cli.app import run

TENSORS = spell(make_updates(qwen_networks(), r"attn\.to_[qk]$", rank=4), "kohya")
SAID = {"allaprima.family": "vignette", "allaprima.steps": "4", "modelspec.trigger_phrase": "ink"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "ink.safetensors", TENSORS, SAID)
    torch.save(TENSORS, tmp_path / "old.bin")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "ink.safetensors").read_bytes()[:-5])
    return tmp_path


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["lora", *arguments, "--json"]) == 0
    data: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return data


def test_list_says_what_is_there_and_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["name"]: row for row in ask(capsys, "list", "--lora-dir", str(folder))["loras"]}
    assert rows["ink"]["made_for"] == "Vignette"
    assert rows["ink"]["ranks"] == {"4": 4}
    assert rows["ink"]["dialects"] == ["kohya"]
    assert "cut short" in rows["cut"]["problem"] or "expected a whole" in rows["cut"]["problem"]
    assert "prima lora convert" in rows["old"]["problem"]


def test_the_usual_folder_need_not_be_there_and_one_that_is_named_must(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ask(capsys, "list")["loras"]
    assert [row["name"] for row in rows if not row["shipped"]] == []
    for command in (["list"], ["inspect", "ink"], ["convert", "ink"]):
        assert run(["lora", *command, "--lora-dir", "none"]) == 2
        err = capsys.readouterr().err
        assert (
            err
            == "prima: got none as the folder of LoRAs, which is not there; expected a folder that exists\n"
        )


def test_a_file_that_nobody_can_ask_for_is_named_with_the_way_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(folder / "ink:v2.safetensors", TENSORS)
    save(folder / os.fsdecode(b"\x1b\xff.safetensors"), TENSORS)
    assert run(["lora", "list", "--lora-dir", str(folder), "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    told = "its name holds ':'; rename it, for example to ink-v2.safetensors"
    assert f"left out: ink:v2.safetensors, for {told}" in lines
    data = json.loads(last)
    assert {"file": "ink:v2.safetensors", "why": told} in data["left_out"]
    assert r"'\x1b\udcff.safetensors'" in {one["file"] for one in data["left_out"]}
    assert {row["name"] for row in data["loras"] if not row.get("shipped")} == {"ink", "old", "cut"}


def test_what_ships_is_listed_as_shipped_unless_the_folder_has_its_name(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "weights" / "loras").mkdir(parents=True)
    for name in ("turbo", "ink"):
        save(folder / "weights" / "loras" / f"{name}.safetensors", TENSORS, SAID)
    monkeypatch.setattr("allaprima.paint.bases.vignette.base.weights_folder", lambda: folder / "weights")
    rows = {row["name"]: row for row in ask(capsys, "list", "--lora-dir", str(folder))["loras"]}
    assert (rows["turbo"]["shipped"], rows["ink"]["shipped"]) == (True, False)
    assert ask(capsys, "inspect", "turbo", "--lora-dir", str(folder))["steps"] == 4
    assert run(["lora", "list", "--lora-dir", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "MB, shipped\n" in said
    assert f"\n3 in {folder}, 1 shipped\n" in said


@pytest.mark.parametrize("by_path", [True, False])
def test_inspect(folder: Path, capsys: pytest.CaptureFixture[str], by_path: bool) -> None:
    name = str(folder / "ink.safetensors") if by_path else "ink"
    facts = ask(capsys, "inspect", name, "--lora-dir", str(folder))
    assert (facts["family"], facts["steps"], facts["trigger_words"]) == ("vignette", 4, ["ink"])
    assert facts["methods"] == {"LoRA": 4}
    assert facts["dtypes"] == {"F32": 12}
    assert len(facts["digest"]) == 64


def test_inspect_reads_the_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = {**TENSORS, next(iter(TENSORS)): torch.full((4, 16), torch.nan)}
    save(folder / "nan.safetensors", broken)
    assert run(["lora", "inspect", "nan", "--lora-dir", str(folder)]) == 2
    assert "NaN or infinity" in capsys.readouterr().err


def test_a_name_with_a_dot_is_a_name(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(folder / "style.v1.0.safetensors", TENSORS, SAID)
    monkeypatch.chdir(folder)
    for name in ("style.v1.0", "style.v1.0.safetensors", str(path)):
        assert ask(capsys, "inspect", name, "--lora-dir", str(folder))["steps"] == 4
    assert run(["lora", "inspect", "style.v2.0", "--lora-dir", str(folder)]) == 2
    assert "got LoRA 'style.v2.0', which is not in" in capsys.readouterr().err
    assert run(["lora", "inspect", "none.pt", "--lora-dir", str(folder)]) == 2


def write_by_hand(path: Path, said: dict[str, str], *keys: str) -> None:
    """Write what safetensors' own writer refuses to: half characters."""
    key = "transformer.transformer_blocks.0.attn.to_q"
    shapes = {f"{key}.lora_A.weight": [1, 2], f"{key}.lora_B.weight": [2, 1]} | {name: [2] for name in keys}
    header: dict[str, Any] = {"__metadata__": said}
    for place, (name, shape) in enumerate(shapes.items()):
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [8 * place, 8 * place + 8]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8 * len(shapes)))


def test_what_a_stranger_says_reaches_no_terminal_as_it_is(tmp_path: Path) -> None:
    """In a process of its own: only there stdout refuses half a character."""
    said = {
        "license": "x\ud800 \x1b[31mred",
        "modelspec.trigger_phrase": "墨\x07",
        "allaprima.schedule": "\x9b2J",
    }
    write_by_hand(tmp_path / "odd.safetensors", said, "\x1b]0;owned\ud800")
    write_by_hand(tmp_path / "bias.safetensors", {}, "\x1b]0;owned\ud800.lora_B.bias")
    for command in (["inspect", "odd"], ["list"]):
        ran = subprocess.run(
            [sys.executable, "-c", "from allaprima.cli.app import main; main()", "lora", *command,
             "--lora-dir", str(tmp_path), "--json"],
            capture_output=True, check=True, env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
        )  # fmt: skip
        out = ran.stdout.decode("utf-8")
        assert all(line.isprintable() for line in out.splitlines()), out
        data = json.loads(out.splitlines()[-1])
        rows = {row["name"]: row for row in data["loras"]} if "loras" in data else {"odd": data}
        assert rows["odd"]["license"] == said["license"]
        assert rows["odd"]["trigger_words"] == ["墨\x07"]
        if command == ["inspect", "odd"]:
            assert r"x\ud800 \u001b[31mred" in out
            assert r"墨\u0007" in out
            assert r"unknown keys:  \u001b]0;owned\ud800" in out


def test_what_is_refused_is_told_without_escapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_by_hand(tmp_path / "odd.safetensors", {}, "\x1b]0;owned\ud800.lora_A.bias")
    assert run(["lora", "inspect", "odd", "--lora-dir", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert r"'\x1b]0;owned\ud800.lora_A.bias'" in err
    assert err.strip().isprintable()


@pytest.mark.parametrize("name", ["none", "..", "a\0b", ""])
def test_a_name_that_is_not_there_is_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(["lora", "inspect", name, "--lora-dir", str(folder)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("prima: ")
    assert len(err.splitlines()) == 1


def test_convert_then_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = ask(capsys, "convert", str(folder / "old.bin"))
    assert done["path"] == str(folder / "old.safetensors")
    rows = {row["name"]: row for row in ask(capsys, "list", "--lora-dir", str(folder))["loras"]}
    assert rows["old"]["ranks"] == {"4": 4}
    assert run(["lora", "convert", str(folder / "old.bin")]) == 2
    assert "--overwrite" in capsys.readouterr().err
