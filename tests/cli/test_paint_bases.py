"""`prima paint` with a base of the user's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.tiny_files import make_split_pipeline, write_split
from tests.tiny_klein import write_tiny_klein
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl

from allaprima.cli.app import run
from allaprima.cli.paint import given_fields, make_requests
from allaprima.core.errors import RequestError
from allaprima.core.picture_files import read_request
from allaprima.core.request import GenerationRequest, LoraUse
from allaprima.core.specification import parse_lora


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    write_tiny_qwen(models / "diffusers" / "tiny")
    write_tiny_sdxl(models / "diffusers" / "sdxl")
    write_tiny_klein(models / "diffusers" / "klein")
    return models


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_not_given_is_the_bases_own_and_repaints(models: Path) -> None:
    options = ("--models-dir", str(models), "--size", "32x48")
    given = ("--base", "tiny", "--schedule", "lightning", "--seed", "3", "--count", "2")
    assert run(["paint", "a cat", *options, *given, "-o", "."]) == 0
    expected = GenerationRequest(
        prompt="a cat", base="tiny", schedule="lightning", steps=4, guidance=1.0, width=32, height=48, seed=3
    )
    assert read_request(Path("a-cat-3.png")) == expected
    with Image.open("a-cat-3.png") as first, Image.open("a-cat-4.png") as second:
        assert first.size == (32, 48)
        assert first.tobytes() != second.tobytes()
    assert run(["paint", "--models-dir", str(models), "--from", "a-cat-3.png", "-o", "again.png"]) == 0
    assert Path("again.png").read_bytes() == Path("a-cat-3.png").read_bytes()


def test_a_size_that_the_base_does_not_paint_is_told(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(["paint", "a cat", "--models-dir", str(models), "--base", "tiny", "--size", "40x40", "--json"])
        == 2
    )
    captured = capsys.readouterr()
    assert "got size 40x40; expected sides that are multiples of 16" in captured.err
    assert "multiples of 16" in json.loads(captured.out)["error"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--base", "nothing"], "got base 'nothing'; expected vignette, a model folder"),
        (["--base", ""], "the base is empty"),
        (["--schedule", "fast"], "got the schedule 'fast'; expected none"),
        (["--models-dir", "none"], "got none as a folder of models; expected a folder that exists"),
        (["--lora-dir", "none"], "got none as the folder of LoRAs, which is not there; expected a folder"),
        (["--lora", "ink:much"], "got --lora 'ink:much'; expected NAME or NAME:WEIGHT"),
        (["--lora", "ink:99"], "got weight 99.0 for LoRA 'ink'; expected -10 to 10"),
        (["--lora", "ink:9", "--lora", "ink:2"], "got weight 11"),
    ],
)
def test_what_cannot_be_painted_is_told(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["paint", "a cat", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_tags_of_loras_in_the_prompt_are_loras() -> None:
    given = given_fields(None, ["ink:0.5"], prompt="a cat <lora:oil:0.3> on a roof<lora:ink>")
    (request,) = make_requests(given, None, 7, 1)
    assert request.prompt == "a cat on a roof"
    assert request.loras == (LoraUse(name="ink", weight=1.5), LoraUse(name="oil", weight=0.3))
    assert "loras" not in given_fields(None, None, prompt="a cat")
    assert given_fields(None, None, steps=3) == {"steps": 3}


def test_loras_are_named_with_or_without_a_weight() -> None:
    assert parse_lora("ink") == LoraUse(name="ink", weight=1.0)
    assert parse_lora("people/ink v2:-0.5") == LoraUse(name="people/ink v2", weight=-0.5)
    with pytest.raises(RequestError, match="got LoRA name ''"):
        parse_lora(":1")


SAID = {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nobody", "got LoRA 'nobody', which is not in loras; expected one of"),
        ("../ink", "got LoRA '../ink'; expected the name of a file in the folder"),
        ("cut", "expected a whole .safetensors file"),
        ("old", "is a pickle, which can run programs when it is read"),
        ("out", "got LoRA 'out', a link out of loras; expected a file inside it"),
        (
            "ink",
            "loras/ink.safetensors is a LoRA for SDXL; the base here is Qwen-Image, expected a LoRA for that",
        ),
    ],
)
def test_what_is_wrong_with_a_lora_is_told_before_the_base_is_loaded(
    models: Path, name: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    loras = Path("loras")
    loras.mkdir()
    down, up = torch.ones(2, 64), torch.ones(32, 2)
    layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    tensors = {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}
    save_file(tensors, loras / "ink.safetensors", SAID)
    (loras / "cut.safetensors").write_bytes((loras / "ink.safetensors").read_bytes()[:-9])
    torch.save(tensors, loras / "old.bin")
    save_file(tensors, "secret.safetensors")
    (loras / "out.safetensors").symlink_to("../secret.safetensors")
    # A base that cannot be loaded: whoever begins to load it is told about its weights.
    broken = Path("broken")
    shutil.copytree(models / "diffusers" / "tiny", broken)
    for file in broken.rglob("*.safetensors"):
        file.write_bytes(b"")
    assert run(["paint", "a cat", "--base", "broken", "--lora", name, "--lora-dir", "loras"]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("base", "size", "told"),
    [
        ("sdxl", "65x64", "got size 65x64; expected multiples of 8, such as 64x64"),
        ("sdxl", "100x60", "got size 100x60; expected multiples of 8, such as 96x64"),
        ("tiny", "65x64", "got size 65x64; expected sides that are multiples of 16, such as 64x64"),
    ],
)
def test_odd_sizes_are_told_with_the_nearest_that_does(
    models: Path, base: str, size: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["paint", "a cat", "--models-dir", str(models), "--base", base, "--size", size]) == 2
    assert told in capsys.readouterr().err


def test_sdxl_paints_several_with_a_lora(models: Path) -> None:
    Path("loras").mkdir()
    layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    tensors = {f"{layer}.lora_A.weight": torch.ones(2, 64), f"{layer}.lora_B.weight": torch.ones(32, 2)}
    save_file(tensors, "loras/ink.safetensors")
    given = ("--models-dir", str(models), "--base", "sdxl", "--size", "104x56", "--steps", "2", "--seed", "1")
    command = ["paint", "猫", *given, "--count", "3", "--negative", "dog", "--lora-dir", "loras"]
    Path("plain").mkdir()
    Path("worn").mkdir()
    assert run([*command, "-o", "plain"]) == 0
    assert run([*command, "-o", "worn", "--lora", "ink:2"]) == 0
    for seed in (1, 2, 3):
        with Image.open(f"plain/猫-{seed}.png") as plain, Image.open(f"worn/猫-{seed}.png") as worn:
            assert plain.size == worn.size == (104, 56)
            assert plain.tobytes() != worn.tobytes()
    assert read_request(Path("worn/猫-3.png")).loras == (LoraUse(name="ink", weight=2.0),)


def test_a_base_looks_at_pictures(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, level in (("face", 90), ("hat", 40)):
        Image.effect_noise((96, 64), level).save(f"{name}.png")
    options = ("--models-dir", str(models), "--size", "32x48", "--seed", "3", "--steps", "1", "--base")
    looking = ("--reference", "face.png", "--reference", "hat.png")
    assert run(["paint", "a cat", *options, "klein", *looking, "-o", "cat.png"]) == 0
    assert run(["paint", "a cat", *options, "klein", "-o", "plain.png"]) == 0
    with Image.open("cat.png") as cat, Image.open("plain.png") as plain:
        assert cat.tobytes() != plain.tobytes()
    again = ("paint", "--models-dir", str(models), "--from", "cat.png", "-o", "again.png")
    capsys.readouterr()
    assert run(list(again)) == 2
    assert "expected it again, as --reference FILE" in capsys.readouterr().err
    assert run([*again, *looking]) == 0
    assert Path("again.png").read_bytes() == Path("cat.png").read_bytes()
    assert run(["paint", "a cat", *options, "tiny", *looking, "-o", "none.png"]) == 0
    assert "the 2 references do nothing: tiny looks at none" in capsys.readouterr().err
    assert run(["paint", "a cat", *options, "klein", "--reference", "dog.png"]) == 2


def test_a_base_in_several_files_is_joined_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the vocabulary that ships: the one test in which the words are those of the published text encoder."""
    models = tmp_path / "ComfyUI" / "models"
    files = write_split(models, make_split_pipeline(words=152_064), "scale_weight")
    vae = shutil.move(files["vae"], tmp_path / "mine.safetensors")
    options = ("--models-dir", str(models), "--base", "tiny_scale_weight", "--size", "32x32")
    assert run(["paint", "a cat", *options]) == 2
    assert "comes without Qwen-Image's autoencoder" in capsys.readouterr().err
    named = (*options, "--vae", str(vae), "--json")
    assert run(["paint", "a cat", *named, "--steps", "2", "--seed", "1", "-o", "cat.png"]) == 0
    told = capsys.readouterr()
    assert "tiny_vl.safetensors as text encoder" in told.err
    assert "mine.safetensors as autoencoder (VAE)" in told.err
    assert read_request(Path("cat.png")).base == "tiny_scale_weight"
    assert run(["paint", *named, "--from", "cat.png", "-o", "again.png"]) == 0
    assert Path("again.png").read_bytes() == Path("cat.png").read_bytes()
    capsys.readouterr()
    assert run(["plan", *named]) == 0
    plan = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert plan["chosen"]["plan"] == "resident"
    assert run(["paint", "a cat", "--vae", str(vae)]) == 2
    assert "'vignette', which brings its own" in capsys.readouterr().err
