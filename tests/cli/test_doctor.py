from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from allaprima.cli import doctor_checks
from allaprima.cli.app import run
from allaprima.cli.doctor_checks import Finding, examine
from allaprima.paint.bases.vignette.traits import WEIGHTS
from allaprima.paint.device.waiting_threads import CHOSEN_BY_USER


@pytest.fixture
def taken() -> Iterator[int]:
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.fixture
def free(taken: int) -> int:
    with closing(socket.socket()) as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        assert port != taken
        return port


def found(name: str, tmp_path: Path, port: int, **folders: Path) -> Finding:
    gallery = folders.get("gallery", tmp_path / "gallery")
    findings = examine(gallery=gallery, lora_dir=folders.get("lora_dir", tmp_path), port=port)
    return next(finding for finding in findings if finding.name == name)


def test_everything_is_on_one_screen(
    tmp_path: Path, free: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["doctor", "--port", str(free), "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) < 40
    told: dict[str, Any] = json.loads(last)
    assert told["ok"] is True
    names = [finding["name"] for finding in told["findings"]]
    assert names[:2] == ["program", "packages"]
    assert {"processor", "memory", "GPU", "weights", "gallery", f"port {free}"} <= set(names)
    assert torch.__version__ in told["findings"][1]["value"]
    for private in (str(tmp_path), getpass.getuser(), socket.gethostname()):
        assert len(private) < 3 or private not in last


def test_a_port_that_is_taken(tmp_path: Path, taken: int) -> None:
    finding = found(f"port {taken}", tmp_path, taken)
    assert (finding.value, finding.health) == ("taken", "wrong")
    assert "--port 0" in finding.advice


def test_damaged_weights(tmp_path: Path, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = tmp_path / "weights"
    copied.mkdir()
    for name in ("denoiser", "autoencoder"):
        shutil.copy(WEIGHTS / f"{name}.safetensors", copied)
    monkeypatch.setattr(doctor_checks, "WEIGHTS", copied)
    assert found("weights", tmp_path, free).health == "fine"
    with (copied / "autoencoder.safetensors").open("r+b") as file:
        file.truncate(1000)
    finding = found("weights", tmp_path, free)
    assert finding.health == "wrong"
    assert str(tmp_path) not in finding.advice


def test_folders_that_are_no_use(tmp_path: Path, free: int) -> None:
    (tmp_path / "file").write_text("")
    assert found("gallery", tmp_path, free, gallery=tmp_path / "file").health == "wrong"
    assert found("LoRAs", tmp_path, free, lora_dir=tmp_path / "file").health == "wrong"
    assert found("gallery", tmp_path, free, gallery=tmp_path / "a" / "b").value.startswith(
        "made when it is needed"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_gallery_that_may_not_be_written_to(tmp_path: Path, free: int) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert found("gallery", tmp_path, free, gallery=tmp_path / "locked").health == "wrong"


def test_a_policy_of_waiting_that_the_user_chose(
    tmp_path: Path, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in CHOSEN_BY_USER:
        monkeypatch.delenv(variable, raising=False)
    assert "set:" not in found("load", tmp_path, free).advice
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    finding = found("load", tmp_path, free)
    assert finding.health == "slow"
    assert "OMP_WAIT_POLICY" in finding.advice


def test_a_full_disk(tmp_path: Path, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "ENOUGH_DISK_GIB", 1e9)
    assert "make room" in found("gallery", tmp_path, free).advice


def test_little_memory(tmp_path: Path, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "ENOUGH_GIB", 1e9)
    assert found("memory", tmp_path, free).health == "slow"


def test_a_torch_that_cannot_be_imported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "allaprima.cli.doctor_checks", None)
    assert run(["doctor"]) == 2
    assert "install the package anew" in capsys.readouterr().err
