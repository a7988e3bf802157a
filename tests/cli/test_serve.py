"""`prima serve` as a process: what it prints, that it lets in whom it should, and that it stops when told."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch
from safetensors.torch import save_file
from tests.tiny_files import make_split_pipeline, write_split
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.cli.serve import Makers
from allaprima.core.errors import UserError
from allaprima.core.picture_files import read_request
from allaprima.core.request import LoraUse

START = "from allaprima.cli.app import main; main()"


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Run the command; yield its JSON line and the lines before it."""
    weights = write_tiny_vignette(folder / "weights")
    arguments = [
        "serve",
        "--port",
        "0",
        "--weights",
        str(weights),
        "--gallery",
        str(folder / "gallery"),
        "--json",
    ]
    environment = {key: value for key, value in os.environ.items() if key != "ALLAPRIMA_TOKEN"}
    process = subprocess.Popen(
        [sys.executable, "-c", START, *arguments, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    try:
        lines: list[str] = []
        while not lines or not lines[-1].startswith("{"):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            lines.append(line.strip())
        told = json.loads(lines[-1])
        health = httpx2.get(f"{told['url']}/healthz", trust_env=False, timeout=60)
        assert health.status_code == 200  # the line says that the base is loaded
        yield told, lines[:-1]
    finally:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        assert out == ""  # the token and the address were printed once, and JSON came last
    assert process.returncode in (0, 130)


def test_on_the_loopback_it_paints_for_everyone_here(tmp_path: Path) -> None:
    with serving(tmp_path) as (told, lines), httpx2.Client(base_url=told["url"], trust_env=False) as client:
        assert lines == [f"Alla Prima is open at {told['url']}"]
        assert told["token"] is None
        assert told["url"].startswith("http://127.0.0.1:")
        body = {"prompt": "a cat", "steps": 1, "guidance": 1.0}
        assert client.post("/v1/images/generations", json=body, timeout=30).status_code == 200
    assert len(list((tmp_path / "gallery").glob("*.png"))) == 1


def test_it_paints_with_the_turbo_that_lies_beside_the_weights(tmp_path: Path) -> None:
    told = {"allaprima.family": "vignette", "allaprima.steps": "2", "allaprima.guidance": "1.0"}
    key = "transformer.transformer_blocks.0.attn.to_q"
    halves = {f"{key}.lora_A.weight": torch.ones(4, 32), f"{key}.lora_B.weight": torch.ones(32, 4)}
    (tmp_path / "weights" / "loras").mkdir(parents=True)
    save_file(halves, tmp_path / "weights" / "loras" / "turbo.safetensors", told)
    (tmp_path / "mine").mkdir()
    here = "--lora-dir", str(tmp_path / "mine")
    with (
        serving(tmp_path, *here) as (said, _),
        httpx2.Client(base_url=said["url"], trust_env=False) as client,
    ):
        (base,) = client.get("/api/config").json()["bases"]
        live = base["live"]
        assert (live["steps"], live["guidance"]) == (2, 1.0)
        assert live["loras"] == [{"name": "turbo", "weight": 1.0}]
        assert client.post("/v1/images/generations", json={"prompt": "a cat"}, timeout=30).status_code == 200
        assert client.post("/sdapi/v1/txt2img", json={"prompt": "a cat"}, timeout=30).status_code == 200
    painted = [read_request(path) for path in (tmp_path / "gallery").glob("*.png")]
    assert [(one.loras, one.steps) for one in painted] == [((LoraUse(name="turbo"),), 2)] * 2


def test_answers_do_not_say_where_anything_lies(tmp_path: Path) -> None:
    loras = tmp_path / "my secret dir; or, so" / "lo ras"
    loras.mkdir(parents=True)
    (loras / "bad.safetensors").write_bytes(b"cut short")
    with (
        serving(tmp_path, "--lora-dir", str(loras)) as (said, _),
        httpx2.Client(base_url=said["url"], trust_env=False, timeout=30) as client,
    ):
        for name, says in (("bad", "bad.safetensors"), ("unknown", "which is not in lo ras")):
            asked = {"prompt": "a cat", "loras": [{"name": name}]}
            for path, body in (("/v1/images/generations", asked), ("/api/jobs", {"request": asked})):
                told = client.post(path, json=body).text
                assert says in told
                assert "secret" not in told
                assert "/" not in told


def test_listening_makes_a_token_and_asks_for_it(tmp_path: Path) -> None:
    with serving(tmp_path, "--listen") as (told, lines):
        token = told["token"]
        assert len(token) >= 32
        assert sum(token in line for line in lines) == 2
        assert lines[0].endswith(f"/login#{token}")
        with httpx2.Client(base_url=told["url"], trust_env=False) as client:
            assert client.get("/v1/models").status_code == 401
            assert client.get("/v1/models", headers={"authorization": f"Bearer {token}"}).status_code == 200


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--host", "0.0.0.0", "--listen"], "--host and --listen"),
        (["--listen", "--token", "short"], "token of 5 characters"),
        (["--cors-origin", "*"], "origin"),
        (["--certificate", "cert.pem"], "half of"),
        (["--base", "no-such-base"], "no-such-base"),
        (["--host", "256.1.1.1"], "cannot listen"),
        (["--allow-host", "https://studio.example"], "https://studio.example"),
        (["--certificate", "no-such.pem", "--key", "no-such.pem"], "no-such.pem"),
        (["--memory", "inf"], "--memory inf"),
        (["--quantize", "int8"], "for vignette, whose weights are small"),
        (["--cache", "first-block"], "family vignette, whose blocks it cannot skip"),
        (["--cache", "teacache"], "expected first-block"),
        (["--weights", "no-such-folder"], "no-such-folder"),
    ],
)
def test_settings_that_are_not_safe_or_not_there_are_refused_in_one_sentence(
    options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", "--port", "0", "--gallery", str(tmp_path / "gallery"), *options]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--device", "abacus"], "abacus"), (["--weights", "."], "denoiser.safetensors")],
)
def test_a_base_that_cannot_be_loaded_ends_the_server(
    options: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-c", START, "serve", "--port", "0", *options],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 2, ran.stderr
    assert says in ran.stderr.splitlines()[-1]
    assert ran.stderr.splitlines()[-1].startswith("prima: ")
    assert "Traceback" not in ran.stderr


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert run(["serve", "--port", port, "--gallery", str(tmp_path / "gallery")]) == 2
    assert f"port {port}" in capsys.readouterr().err
    assert not (tmp_path / "gallery").exists()


def test_parts_are_named_for_the_bases_that_take_them(tmp_path: Path) -> None:
    files = write_split(tmp_path, make_split_pipeline(), "fp8")
    vae = files["vae"].rename(tmp_path / "mine.safetensors")
    specs = {"vignette": "vignette", "tiny": str(files["transformer"])}
    located = Makers(specs=specs, vae=str(vae)).locate()
    assert located["tiny"].parts == {"text_encoder": files["text_encoder"], "vae": vae}
    assert located["vignette"].parts == {}
    with pytest.raises(UserError, match="which brings its own"):
        Makers(specs={"vignette": "vignette"}, vae=str(vae)).locate()


def test_bases_that_ship_stay_without_a_step_cache(tmp_path: Path) -> None:
    specs = {"vignette": "vignette", "tiny": str(write_tiny_qwen(tmp_path / "tiny"))}
    weights = write_tiny_vignette(tmp_path / "weights")
    makers = Makers(specs=specs, weights=weights, cache="first-block:0.1", device="cpu")
    makers.check_options()
    assert makers.load("vignette").step_cache is None
    cache = makers.load("tiny").step_cache
    assert cache is not None
    assert cache.setting.threshold == 0.1
