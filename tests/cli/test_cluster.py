from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.tiny_vignette import write_tiny_vignette

from allaprima.cli.app import run
from allaprima.cli.cluster import plan_of
from allaprima.cli.loader_options import LoaderOptions
from allaprima.core.request import GenerationRequest
from allaprima.studio.cluster.meeting_point import KEY_VARIABLE

START = "from allaprima.cli.app import main; main()"
KEY = "a key of many signs"


def test_deploy_writes_what_ray_serve_reads_and_says_what_to_run(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "serve.yaml"
    options = "--replicas", "3", "--gpus", "0.5", "--lora-dir", "/loras", "--base", "vignette"
    assert run(["cluster", "deploy", "10.0.0.1:7870", "-o", str(path), *options, "--json"]) == 0
    out = capsys.readouterr()
    told = json.loads(out.out.splitlines()[-1])
    assert told["path"] == str(path)
    assert told["commands"][-1] == f"serve deploy {path}"
    assert all(command in out.err for command in told["commands"])
    (application,) = yaml.safe_load(path.read_text())["applications"]
    assert application["args"] == {"studio": "10.0.0.1:7870", "base": ["vignette"], "lora_dir": "/loras"}
    assert application["deployments"][0]["num_replicas"] == 3
    assert application["deployments"][0]["ray_actor_options"]["num_gpus"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("deploy", "nowhere"), "expected host and port"),
        (("deploy", "host:1", "-o", "serve.txt"), "ends in .yaml"),
        (("deploy", "host:1", "--memory", "-1"), "expected more than 0 GiB"),
        (("join", "nowhere"), "expected host and port"),
        (("join", "host:1"), KEY_VARIABLE),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: tuple[str, ...], reason: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert run(["cluster", *arguments]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--replicas", "0"), "no --join-at"),
        (("--join-at", "here"), "expected host and port"),
        (("--join-at", "127.0.0.1:1"), KEY_VARIABLE),
    ],
)
def test_a_studio_where_nobody_can_paint_is_refused(
    options: tuple[str, ...], reason: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert run(["serve", "--port", "0", *options]) == 2
    assert reason in capsys.readouterr().err


def test_a_plan_loads_the_bases_that_the_options_name(tmp_path: Path) -> None:
    weights = write_tiny_vignette(tmp_path / "weights")
    plan = plan_of(LoaderOptions(weights=weights).makers())
    assert plan.bases == ("vignette",)
    painter = plan.painter_factory("vignette", "cpu")
    assert painter.paint(GenerationRequest(prompt="a cat", steps=1, guidance=1.0)).width == 256


@pytest.mark.slow
def test_a_studio_without_replicas_of_its_own_paints_with_one_that_joins(tmp_path: Path) -> None:
    weights = write_tiny_vignette(tmp_path / "weights")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, KEY_VARIABLE: KEY, "OMP_NUM_THREADS": "1"}
    base = ["--weights", str(weights)]

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", START, *arguments, *base, "--json"],
            stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    studio = start(
        "serve", "--port", "0", "--replicas", "0", "--join-at", f"127.0.0.1:{port}",
        "--gallery", str(tmp_path / "gallery"),
    )  # fmt: skip
    guest = start("cluster", "join", f"127.0.0.1:{port}")
    try:
        assert studio.stdout is not None
        while not (line := studio.stdout.readline()).startswith("{"):
            assert line, "the studio ended"
        import httpx2

        url, body = json.loads(line)["url"], {"prompt": "a cat", "steps": 1, "guidance": 1.0}
        answer = httpx2.post(f"{url}/v1/images/generations", json=body, timeout=120, trust_env=False)
        assert answer.status_code == 200
        assert "allaprima_replicas 1.0" in httpx2.get(f"{url}/metrics", trust_env=False, timeout=60).text
        guest.send_signal(signal.SIGTERM)
        out, _ = guest.communicate(timeout=120)
        assert json.loads(out.splitlines()[-1])["left"] is True
        assert guest.returncode == 0
    finally:
        guest.kill()
        studio.send_signal(signal.SIGINT)
        studio.communicate(timeout=120)


@pytest.mark.slow
def test_a_studio_with_two_replicas_serves_and_ends_with_both(tmp_path: Path) -> None:
    import httpx2
    from tests.cli.test_serve import serving

    with serving(tmp_path, "--replicas", "2") as (told, _):
        body = {"prompt": "a cat", "steps": 1, "guidance": 1.0, "n": 4}
        answer = httpx2.post(f"{told['url']}/v1/images/generations", json=body, timeout=120, trust_env=False)
        assert len(answer.json()["data"]) == 4
    assert len(list((tmp_path / "gallery").glob("*.png"))) == 4
