from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants
from tests.hub_server import COMMIT, serve_hub

from allaprima.cli.app import run
from allaprima.core.errors import RequestError
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


@pytest.mark.parametrize("forms", [("fp16",), ("bf16",), ("fp16", "bf16"), ("non_ema",)])
def test_weights_that_are_there_in_one_form_alone_are_fetched(
    forms: tuple[str, ...], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(model / "unet")
    for form in forms:
        for name in (
            "unet/config.json",
            f"unet/model.{form}.safetensors",
            "vae/model.safetensors",
            "vae/config.json",
        ):
            (model / name).parent.mkdir(exist_ok=True)
            (model / name).write_text(name)
    with serve_hub(model, "tiny/xl") as (address, fetched):
        ask(address, monkeypatch)
        assert run(["pull", "tiny/xl"]) == 0
        assert f"unet/model.{forms[0]}.safetensors" in fetched
        assert run(["pull", "tiny/xl", "--variant", forms[-1]]) == 0
        assert f"unet/model.{forms[-1]}.safetensors" in fetched
        assert "vae/model.safetensors" in fetched  # a part that has the plain form alone


def test_shards_are_fetched_with_the_index_of_their_form(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(model / "unet")
    (model / "unet").mkdir()
    (model / "unet" / "config.json").write_text("{}")
    for form, index in (("", ".json"), (".fp16", ".fp16.json")):
        shard = f"model{form}-00001-of-00001.safetensors"
        (model / "unet" / shard).write_text("x")
        (model / "unet" / f"model.safetensors.index{index}").write_text(
            json.dumps({"weight_map": {"a": shard}})
        )
    with serve_hub(model, "tiny/xl") as (address, fetched):
        ask(address, monkeypatch)
        assert run(["pull", "tiny/xl"]) == 0
        assert {"unet/model-00001-of-00001.safetensors", "unet/model.safetensors.index.json"} <= set(fetched)
        assert not [name for name in fetched if "fp16" in name]


def test_what_a_pull_cannot_finish_is_no_success(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*options: str) -> str:
        with serve_hub(model, "tiny/xl") as (address, fetched):
            ask(address, monkeypatch)
            assert run(["pull", "tiny/xl", "--json", *options]) == 2
            assert not [name for name in fetched if name.endswith(".safetensors")]
        error: str = json.loads(capsys.readouterr().out)["error"]
        return error

    assert "has no variant 'fp8'; expected one that it has: fp16 and the plain one" in refused(
        "--variant", "fp8"
    )
    (model / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    assert "is a FluxPipeline; expected" in refused()  # told before gigabytes are fetched
    (model / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    for file in model.glob("unet/*.safetensors"):
        file.unlink()
    assert "has no weights but pickles, which may run any code" in refused()
    (model / "unet" / "model.bin").unlink()
    (model / "vae" / "model.onnx").unlink()
    assert "has no weights; expected .safetensors in its parts' folders" in refused()
    (model / "model_index.json").unlink()
    assert "has no model_index.json" in (told := refused())
    assert told.endswith("fetch whole.safetensors by hand and give its path")


def test_part_of_the_weights_is_no_model(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "vae" / "config.json").write_text("{}")
    with serve_hub(model, "tiny/xl") as (address, _):
        ask(address, monkeypatch)
        assert run(["pull", "tiny/xl"]) == 2
    assert "vae holds no weights" in capsys.readouterr().err


def test_a_revision_is_found_again_by_its_id(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve_hub(model, "tiny/xl") as (address, _):
        ask(address, monkeypatch)
        assert run(["pull", "tiny/xl", "--revision", "v2", "--json"]) == 0
    data = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert data["base"] == "tiny/xl"
    for spec in ("tiny/xl", "tiny/xl@v2", f"tiny/xl@{COMMIT}"):
        assert str(locate(spec).path) == data["path"]
    for spec in ("tiny/xl@v3", "tiny/xl@", "tiny/xl@../v2"):
        with pytest.raises(RequestError):
            locate(spec)
    # Once another revision is the newest, the id means that.
    home = tmp_path / "cache" / "models--tiny--xl"
    shutil.copytree(home / "snapshots" / COMMIT, home / "snapshots" / ("1" * 40))
    (home / "refs" / "main").write_text("1" * 40)
    with serve_hub(model, "tiny/xl") as (address, _):
        ask(address, monkeypatch)
        assert run(["pull", "tiny/xl", "--revision", "v2", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["base"] == "tiny/xl@v2"
    assert "paint with it as --base tiny/xl@v2" in err
    assert locate("tiny/xl").path == home / "snapshots" / ("1" * 40)


def test_a_full_disk_while_fetching_is_told(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "unet" / "model.safetensors").write_bytes(bytes(200_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with serve_hub(model, "tiny/xl") as (address, _):
        ask(address, monkeypatch)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            assert run(["pull", "tiny/xl"]) == 2
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot fetch tiny/xl: File too large; what has arrived is kept" in capsys.readouterr().err


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
