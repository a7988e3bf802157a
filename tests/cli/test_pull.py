from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import constants
from tests.hub_server import COMMIT, serve_hub

from allaprima.cli.app import run
from allaprima.paint.bases.loading import locate

FILES = (
    "unet/model.safetensors", "unet/model.fp16.safetensors", "unet/config.json", "tokenizer/merges.txt",
    "unet/model.bin", "unet/run_me.py", "whole.safetensors", "README.md", "vae/model.onnx",
)  # fmt: skip


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model's files, and a hub cache of its own."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in FILES:
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_text(name)
    (tmp_path / "model" / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    return tmp_path / "model"


def ask(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client ask the hub at `address`."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def test_a_model_is_fetched_once_without_code_and_pickles(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve_hub(model, "tiny/xl") as (address, fetched):
        ask(address, monkeypatch)
        assert run(["pull", "tiny/xl", "--json"]) == 0
        wanted = ["model_index.json", "tokenizer/merges.txt", "unet/config.json", "unet/model.safetensors"]
        assert sorted(fetched) == wanted
        out = capsys.readouterr().out.splitlines()
        data = json.loads(out[-1])
        assert out[0] == data["path"]
        assert data["path"].endswith(COMMIT)
        assert (data["id"], data["family"]) == ("tiny/xl", "sdxl")
        assert data["bytes"] == sum((model / name).stat().st_size for name in wanted)
        assert run(["pull", "tiny/xl"]) == 0
        assert sorted(fetched) == wanted
        assert run(["pull", "tiny/xl", "--variant", "fp16"]) == 0
        assert sorted(fetched) == sorted([*wanted, "unet/model.fp16.safetensors"])
    assert str(locate("tiny/xl").path) == data["path"]


@pytest.mark.parametrize(
    ("hub_id", "told"),
    [
        ("no-owner", "expected the id of a model as owner/name"),
        ("../..", "expected the id of a model as owner/name"),
        ("a/b/c", "expected the id of a model as owner/name"),
        ("other/model", "cannot fetch other/model: "),
    ],
)
def test_what_cannot_be_fetched_is_told(
    hub_id: str, told: str, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve_hub(model, "tiny/xl") as (address, _):
        ask(address, monkeypatch)
        assert run(["pull", hub_id]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_offline_is_told(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del model
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert run(["pull", "tiny/xl"]) == 2
    assert "the hub cannot be reached, or HF_HUB_OFFLINE is set" in capsys.readouterr().err


def test_a_model_of_another_layout_is_told(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "model_index.json").unlink()
    with serve_hub(model, "tiny/xl") as (address, _):
        ask(address, monkeypatch)
        assert run(["pull", "tiny/xl"]) == 2
    assert "tiny/xl has no model_index.json" in capsys.readouterr().err
