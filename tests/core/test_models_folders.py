from __future__ import annotations

from pathlib import Path

import pytest

from allaprima.core.errors import RequestError
from allaprima.core.models_folders import expand_models_dirs

LIST = """
comfyui:
    base_path: {comfy}
    is_default: true
    checkpoints: models/checkpoints
    text_encoders: |
        models/text_encoders
        models/clip
a111:
    base_path: a1111
    vae: models/VAE
    loras: nowhere
empty:
"""


def write_list(folder: Path) -> Path:
    for below in ("comfy/models/checkpoints", "comfy/models/clip", "a1111/models/VAE"):
        (folder / below).mkdir(parents=True)
    path = folder / "extra_model_paths.yaml"
    path.write_text(LIST.format(comfy=folder / "comfy"))
    return path


@pytest.mark.parametrize("as_file", [True, False])
def test_a_list_of_comfyui_names_folders_of_several_programs(tmp_path: Path, as_file: bool) -> None:
    path = write_list(tmp_path)
    found = expand_models_dirs([path if as_file else tmp_path])
    below = ("comfy", "comfy/models/checkpoints", "comfy/models/clip", "a1111", "a1111/models/VAE")
    assert found == [*([] if as_file else [tmp_path]), *(tmp_path / one for one in below)]


def test_folders_stay_as_they_are_and_come_once(tmp_path: Path) -> None:
    assert expand_models_dirs([tmp_path, tmp_path]) == [tmp_path]
    with pytest.raises(RequestError, match="absent as a folder of models; expected a folder that exists"):
        expand_models_dirs([tmp_path / "absent"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "cannot read .*; expected ComfyUI's extra_model_paths.yaml"),
        ("- a\n- b", "names no folders; expected ComfyUI's"),
        ("!!python/object/apply:os.system ['true']", "cannot read .*could not determine a constructor"),
        ("a: b" + " " * 2**20, "is larger than a list of folders"),
    ],
)
def test_a_list_that_cannot_be_read_is_told(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(RequestError, match=message):
        expand_models_dirs([tmp_path / "x.yaml"])


@pytest.mark.parametrize(
    "text",
    ["", "a: 3", "a: {base_path: 7, checkpoints: [x]}", "a: {checkpoints: ''}", f"a: {{vae: /{'x' * 5000}}}"],
)
def test_a_list_without_folders_names_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert expand_models_dirs([tmp_path / "x.yaml"]) == []
