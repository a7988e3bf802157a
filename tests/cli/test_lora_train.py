"""`prima lora train`: the command from pictures to a painted picture, killed and resumed, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.lab.lora.tiny import write_pictures
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.lab.training.checkpoint import read_tensors

OPTIONS = ("--weights", "weights", "--rank", "2", "--batch-size", "2", "--windows", "1", "--trigger", "zorp")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_tiny_vignette(tmp_path / "weights")
    write_pictures(tmp_path / "photos")
    return tmp_path


def train(*arguments: str) -> int:
    return run(["lora", "train", "zorp", "photos", *OPTIONS, *arguments])


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return data


def test_a_lora_is_in_the_folder_and_paints_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--steps", "12", "--sample", "a zorp", "--sample-every", "6", "--json") == 0
    facts = said(capsys)
    assert facts["lora"] == str(Path("models/lora/zorp.safetensors"))
    assert (facts["pictures"], facts["steps"], facts["trigger_words"]) == (3, 12, ["zorp"])
    assert facts["loss"] > 0
    assert len(facts["remarks"]) == 2
    run_folder = Path(facts["run"])
    assert run_folder == Path("models/lora-training/zorp")
    assert sorted(path.name for path in run_folder.glob("*.png")) == [
        "sample-0000000.png", "sample-0000006.png", "sample-0000012.png", "sheet.png",
    ]  # fmt: skip
    painting = ["--weights", "weights", "--steps", "2", "--seed", "1", "--no-turbo"]
    assert run(["paint", "a zorp", *painting, "-o", "plain.png"]) == 0
    assert run(["paint", "a zorp", *painting, "--lora", "zorp", "-o", "worn.png"]) == 0
    assert Path("plain.png").read_bytes() != Path("worn.png").read_bytes()


def test_killed_at_any_time_it_goes_on_bit_for_bit(folder: Path) -> None:
    endless = [*OPTIONS, "--sample-every", "0", "--save-every", "1", "--steps", "100000"]
    code = (  # in fp32, as this process, which goes on from it
        "from allaprima.paint.device import precision; precision._read_cpu_flags = lambda path: frozenset()\n"
        "from allaprima.cli.app import main; main()"
    )
    command = [sys.executable, "-c", code, "lora", "train", "zorp", "photos", *endless, "-o", "killed"]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=folder, env=dict(os.environ))
    checkpoint = folder / "killed" / "checkpoint.safetensors"
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not Path("models/lora/zorp.safetensors").exists()
    steps = str(int(read_tensors(checkpoint)[1]["step"]) + 3)
    assert train("--sample-every", "0", "--steps", steps, "-o", "killed", "--resume") == 0
    resumed = load_file("models/lora/zorp.safetensors")
    assert train("--sample-every", "0", "--steps", steps, "-o", "straight", "--overwrite") == 0
    straight = load_file("models/lora/zorp.safetensors")
    assert all(torch.equal(straight[key], resumed[key]) for key in straight)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that is refused, and return the sentence; nothing is left behind."""
    before = sorted(Path().rglob("*"))
    assert run(["lora", "train", *arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert sorted(Path().rglob("*")) == before
    return str(json.loads(captured.out.splitlines()[-1])["error"])


def test_names_that_are_none_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("../zorp", "a/b", ".zorp", "a:b", "x" * 300, "  \n"):
        assert "expected a plain name" in refused(capsys, name, "photos", *OPTIONS)
    assert "which every picture would wear" in refused(capsys, "turbo", "photos", *OPTIONS)


def test_what_cannot_be_learned_from_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "none").mkdir()
    assert "got 0 pictures in none" in refused(capsys, "zorp", "none", *OPTIONS)
    assert "does not exist" in refused(capsys, "zorp", "gone.png", *OPTIONS)
    assert "got base 'nowhere'" in refused(capsys, "zorp", "photos", "--base", "nowhere")
    (folder / "photos" / "captions.jsonl").write_text('{"file_name": "9.png", "text": "a"}')
    captions = ("--captions", "photos/captions.jsonl")
    assert "names '9.png', which is not there" in refused(capsys, "zorp", "photos", *OPTIONS, *captions)
    assert "expected 256x256" in refused(capsys, "zorp", "photos", *OPTIONS, "--size", "512x512")
    assert "expected a folder that exists" in refused(
        capsys, "zorp", "photos", *OPTIONS, "--lora-dir", "none/x"
    )
    cut = (folder / "photos" / "1.png").read_bytes()
    (folder / "photos" / "1.png").write_bytes(cut[: len(cut) // 2])
    assert "1.png cannot be read" in refused(capsys, "zorp", "photos", *OPTIONS)


def test_a_base_that_paints_by_a_mask_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny_sdxl(folder / "inpainting", reads_mask=True)
    assert "what a mask says" in refused(capsys, "zorp", "photos", "--base", "inpainting", "--size", "64x64")


def test_a_lora_of_that_name_stays_unless_it_is_to_be_written_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train("--steps", "1", "--sample-every", "0") == 0
    before = Path("models/lora/zorp.safetensors").read_bytes()
    assert "add --overwrite" in refused(capsys, "zorp", "photos", *OPTIONS)
    assert Path("models/lora/zorp.safetensors").read_bytes() == before
    Path("models/lora/zorp.safetensors").unlink()
    assert "holds a training; add --resume" in refused(capsys, "zorp", "photos", *OPTIONS)
    assert train("--steps", "1", "--sample-every", "0", "--overwrite") == 0
