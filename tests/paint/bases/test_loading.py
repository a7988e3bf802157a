from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.tiny_files import write_names
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import RequestError, UserError, WeightsError
from allaprima.paint.bases.loading import Located, load_base, locate
from allaprima.paint.bases.qwen_image.base import QwenImageBase
from allaprima.paint.bases.qwen_image.traits import TRAITS as QWEN_IMAGE
from allaprima.paint.bases.sdxl.traits import TRAITS as SDXL
from allaprima.paint.bases.vignette.base import VignetteBase
from allaprima.paint.bases.vignette.traits import TRAITS as VIGNETTE

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("hub")


def index(folder: Path, pipeline: str = "QwenImagePipeline") -> Path:
    """Write the one file by which a model folder is known."""
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    return folder


def test_vignette_ships() -> None:
    assert locate("vignette") == Located(name="vignette", traits=VIGNETTE, path=None)


def test_a_folder_and_a_file_are_taken_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = index(tmp_path / "qwen")
    write_names(tmp_path / "xl.safetensors")
    assert locate(str(folder)) == Located(name=str(folder), traits=QWEN_IMAGE, path=folder)
    assert locate(str(tmp_path / "xl.safetensors")).family == "sdxl"
    monkeypatch.chdir(tmp_path)
    assert locate("qwen").path == Path("qwen")


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("checkpoints/xl.safetensors", "xl"),
        ("checkpoints/xl.safetensors", "xl.safetensors"),
        ("models/Stable-diffusion/people/xl.safetensors", "people/xl"),
        ("models/diffusion_models/v1.0.safetensors", "v1.0"),
        ("xl.safetensors", "xl"),
    ],
)
def test_models_of_other_programs_are_read_in_place(where: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / "other" / where
    write_names(file)
    (tmp_path / "empty").mkdir()
    found = locate(name, [tmp_path / "empty", tmp_path / "other"])
    assert found == Located(name=name, traits=SDXL, path=file)


@pytest.mark.parametrize("spec", ["vignette", "xl"])
def test_a_folder_of_models_that_is_not_there_is_told(spec: str, tmp_path: Path) -> None:
    write_names(tmp_path / "xl.safetensors")
    with pytest.raises(RequestError, match="absent as a folder of models; expected a folder that exists"):
        locate(spec, [tmp_path, tmp_path / "absent"])


def test_a_model_folder_is_found_by_its_name_and_the_first_folder_wins(tmp_path: Path) -> None:
    first, second = (index(tmp_path / number / "diffusers" / "qwen") for number in ("1", "2"))
    assert locate("qwen", [tmp_path / "1", tmp_path / "2"]).path == first
    assert locate("qwen", [tmp_path / "2", tmp_path / "1"]).path == second


def test_names_do_not_climb_out_of_a_folder_of_models(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "secret.safetensors").touch()
    with pytest.raises(RequestError, match=re.escape("got base '../secret'")):
        locate("../secret", [tmp_path / "models"])


@pytest.mark.parametrize(
    "spec", ["", "sd_xl", "a/b/c", "x" * 5000, "a\0b", "~nobody/x", "../..", "-", "猫", "a/.."]
)
def test_what_is_not_there_is_told(spec: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="expected vignette, a model folder") as caught:
        locate(spec, [tmp_path])
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("checkpoints/people/xl.safetensors", "xl"),
        ("checkpoints/Juggernaut-XL.safetensors", "juggernaut-xl"),
        ("checkpoints/xl.SAFETENSORS", "xl"),
        ("checkpoints/xl.SafeTensors", "xl.safetensors"),
        ("checkpoints/mode\u0300le.safetensors", "mod\u00e8le"),
        ("checkpoints/mod\u00e8le.safetensors", "mode\u0300le"),
        ("checkpoints/Straße/XL.safetensors", "STRASSE/xl"),
        ("deep/er/and/deeper/v1.0.safetensors", "v1.0"),
        ("checkpoints/people/xl.safetensors", "people\\xl.safetensors"),
        ("UP.SAFETENSORS", "up"),
    ],
)
@pytest.mark.parametrize("with_folders", [False, True])
def test_models_are_found_as_people_call_them(
    where: str, name: str, tmp_path: Path, with_folders: bool
) -> None:
    file = tmp_path / where
    write_names(file)
    if with_folders and not where.startswith("deep"):
        (tmp_path / "models" / "checkpoints").mkdir(parents=True)
    assert locate(name, [tmp_path]) == Located(name=name, traits=SDXL, path=file)


def test_a_path_is_found_in_another_form_and_through_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_names(tmp_path / "blob")
    (tmp_path / "mode\u0300le.SAFETENSORS").symlink_to("blob")
    (tmp_path / "disk").mkdir()
    index(tmp_path / "disk" / "Qwen")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "linked").symlink_to(tmp_path / "disk")
    (tmp_path / "models" / "circle").symlink_to(tmp_path / "models")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MODELS", str(tmp_path / "models"))
    for spec in (f"{tmp_path}/Mod\u00e8le.safetensors", "~/mod\u00e8le.safetensors", "$HOME/mod\u00e8le"):
        assert locate(spec).family == "sdxl"
    for folder in ("~/models", "$MODELS", "${HOME}/models"):
        assert locate("qwen", [Path(folder)]).path == tmp_path / "models" / "linked" / "Qwen"


def test_several_models_of_one_name_are_told(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_names(tmp_path / folder / "xl.safetensors")
    with pytest.raises(
        RequestError, match=r"which may be .*a/xl\.safetensors or .*b/xl\.safetensors; expected one"
    ):
        locate("xl", [tmp_path])
    assert locate("a/XL", [tmp_path]).path == tmp_path / "a" / "xl.safetensors"
    (tmp_path / "xl.safetensors").symlink_to("a/xl.safetensors")
    assert locate("xl", [tmp_path]).path == tmp_path / "xl.safetensors"


@pytest.mark.parametrize("name", ["a.ckpt", "a.pt", "a.bin", "A.CKPT"])
def test_a_pickle_is_refused_unread(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    for spec, folders in ((str(tmp_path / name), []), (name, [tmp_path]), ("a", [tmp_path])):
        with pytest.raises(WeightsError, match="is a pickle, which may run any code"):
            locate(spec, folders)


def test_what_is_no_model_of_ours_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").touch()
    with pytest.raises(
        WeightsError, match=r"a\.gguf is empty; expected a whole \.safetensors or \.gguf file"
    ):
        locate(str(tmp_path / "a.gguf"))
    with pytest.raises(
        WeightsError, match="is a FluxPipeline; expected QwenImagePipeline or StableDiffusionXLPipeline"
    ):
        locate(str(index(tmp_path / "flux", "FluxPipeline")))
    (tmp_path / "flux" / "model_index.json").write_text("{")
    with pytest.raises(WeightsError, match="cannot be read as JSON"):
        locate(str(tmp_path / "flux"))


def test_a_loaded_base_has_the_name_it_was_asked_for(tmp_path: Path) -> None:
    write_tiny_qwen(tmp_path / "diffusers" / "qwen")
    loaded = load_base("qwen", device=CPU, models_dirs=[tmp_path])
    assert isinstance(loaded, QwenImageBase)
    assert loaded.name == "qwen"
    vignette = load_base("vignette", device=CPU, weights=write_tiny_vignette(tmp_path / "vignette"))
    assert isinstance(vignette, VignetteBase)
    with pytest.raises(UserError, match="expected it for vignette alone"):
        load_base("qwen", device=CPU, models_dirs=[tmp_path], weights=tmp_path / "vignette")
    shutil.rmtree(tmp_path / "diffusers" / "qwen" / "vae")
    with pytest.raises(WeightsError, match="has no folder vae"):
        load_base("qwen", device=CPU, models_dirs=[tmp_path])


def test_finding_a_base_loads_no_torch() -> None:
    code = "import sys; from allaprima.paint.bases.loading import locate; locate('vignette'); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "diffusers", "transformers", "huggingface_hub"} & set(ran.stdout.split())
