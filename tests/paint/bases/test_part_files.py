from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.tiny_files import make_split_pipeline, write_names, write_split
from tests.tiny_qwen import write_tiny_qwen

from allaprima.core.errors import RequestError, UserError, WeightsError
from allaprima.paint.bases.files.parts import NamedParts, PartName
from allaprima.paint.bases.loading import brings_its_parts, locate

OTHERS: tuple[PartName, ...] = ("text_encoder", "vae")

pytestmark = pytest.mark.usefixtures("hub")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[PartName, Path]:
    return write_split(tmp_path_factory.mktemp("models"), make_split_pipeline(), "fp8")


@pytest.fixture
def files(written: dict[PartName, Path], tmp_path: Path) -> dict[PartName, Path]:
    """Return the files of a base in a folder of models of the test's own."""
    root = written["transformer"].parents[1]
    shutil.copytree(root, tmp_path / "models")
    return {part: tmp_path / "models" / path.relative_to(root) for part, path in written.items()}


@pytest.mark.parametrize(
    ("text_folder", "vae_folder"),
    [
        ("text_encoders", "vae"),
        ("clip", "vae"),
        ("text_encoders/qwen", "VAE"),
        ("diffusion_models", "diffusion_models"),
    ],
)
def test_parts_are_found_where_programs_keep_them(
    files: dict[PartName, Path], text_folder: str, vae_folder: str
) -> None:
    root = files["transformer"].parents[1]
    places = {"text_encoder": root / text_folder / "any.safetensors", "vae": root / vae_folder / "other.sft"}
    for part in OTHERS:
        places[part].parent.mkdir(parents=True, exist_ok=True)
        shutil.move(files[part], places[part])
    for spec, folders in (
        (str(files["transformer"]), []),
        ("tiny_fp8", [root]),
        ("TINY_FP8.safetensors", [root]),
    ):
        assert locate(spec, folders).parts == places


def test_a_list_of_folders_leads_to_parts(files: dict[PartName, Path], tmp_path: Path) -> None:
    root = files["transformer"].parents[1]
    (tmp_path / "other").mkdir()
    shutil.move(root / "text_encoders", tmp_path / "other" / "clip")
    listed = tmp_path / "paths.yaml"
    listed.write_text(f"mine:\n  base_path: {root}\n  clip: {tmp_path}/other/clip\n")
    assert locate("tiny_fp8", [listed]).parts["text_encoder"].parent == tmp_path / "other" / "clip"


def test_a_part_that_is_missing_is_said_by_its_public_name(files: dict[PartName, Path]) -> None:
    files["text_encoder"].unlink()
    with pytest.raises(
        WeightsError,
        match=r"comes without Qwen2\.5-VL 7B, its text encoder, and none lies in text_encoders/ or clip/ of "
        r"--models-dir; expected such a file there, as qwen_2\.5_vl_7b_fp8_scaled\.safetensors of "
        "Comfy-Org/Qwen-Image_ComfyUI, or named with --text-encoder",
    ):
        locate(str(files["transformer"]))


def test_files_that_are_others_are_passed_over(files: dict[PartName, Path]) -> None:
    """What lies in the folders too: parts of other families, damaged files, twins of another training."""
    (files["vae"].parent / "broken.safetensors").write_bytes(b"\0" * 100)
    write_names(files["vae"].parent / "ae.safetensors", "decoder.conv_in.weight")
    shutil.copy(files["vae"], files["vae"].with_name("aaa_wan_2.1_vae.safetensors"))
    assert locate(str(files["transformer"])).parts["vae"] == files["vae"]
    files["vae"].unlink()
    with pytest.raises(WeightsError, match="comes without Qwen-Image's autoencoder"):
        locate(str(files["transformer"]))
    wan = NamedParts(vae="aaa_wan_2.1_vae")  # but may be named
    assert locate(str(files["transformer"]), (), wan).parts["vae"].name == "aaa_wan_2.1_vae.safetensors"


def test_named_parts_come_first(files: dict[PartName, Path], tmp_path: Path) -> None:
    other = tmp_path / "elsewhere.safetensors"
    shutil.copy(files["vae"], other)
    named = NamedParts(vae=str(other), text_encoder="tiny_vl")
    found = locate(str(files["transformer"]), (), named)
    assert found.parts == {"vae": other, "text_encoder": files["text_encoder"]}
    assert found.joined() == (
        "tiny_fp8.safetensors is painted with tiny_vl.safetensors as text encoder and elsewhere.safetensors as "
        "autoencoder (VAE)"
    )


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        (NamedParts(vae="x" * 5000), RequestError, r"got --vae 'x{80}'; expected a file"),
        (
            NamedParts(vae="nowhere"),
            RequestError,
            "got --vae 'nowhere'; expected a file, or the name of one in vae/",
        ),
        (
            NamedParts(vae="text"),
            WeightsError,
            r"is Qwen2\.5-VL 7B; expected Qwen-Image's autoencoder, such as",
        ),
        (NamedParts(text_encoder="lora"), WeightsError, r"is a LoRA; expected Qwen2\.5-VL 7B"),
    ],
)
def test_a_named_file_that_is_no_such_part_is_told(
    files: dict[PartName, Path], tmp_path: Path, named: NamedParts, error: type[UserError], message: str
) -> None:
    write_names(tmp_path / "lora", "lora_unet_x.lora_down.weight")
    shutil.copy(files["text_encoder"], tmp_path / "text")
    paths = {name: str(tmp_path / name) for name in ("text", "lora")}
    given = NamedParts(
        vae=paths.get(named.vae or "", named.vae),
        text_encoder=paths.get(named.text_encoder or "", named.text_encoder),
    )
    with pytest.raises(error, match=message):
        locate(str(files["transformer"]), (), given)


def test_parts_of_a_base_that_brings_its_own_are_refused(tmp_path: Path) -> None:
    folder = write_tiny_qwen(tmp_path / "qwen")
    for spec in ("vignette", str(folder)):
        assert brings_its_parts(spec)
        with pytest.raises(
            RequestError, match=re.escape("which brings its own; expected --vae with a single file")
        ):
            locate(spec, (), NamedParts(vae="x"))
    file = write_names(tmp_path / "xl.safetensors")
    assert not brings_its_parts(str(file))
    with pytest.raises(RequestError, match="got --text-encoder 'x' for xl"):
        locate(str(file), (), NamedParts(text_encoder="x"))


def test_a_part_as_a_base_is_told(files: dict[PartName, Path]) -> None:
    with pytest.raises(
        WeightsError, match=r"is Qwen2\.5-VL 7B, a part of a base; expected .* this one as --text-encoder"
    ):
        locate(str(files["text_encoder"]))
