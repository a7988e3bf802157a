from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.tiny_loras import make_updates, qwen_networks, spell

from allaprima.core.errors import LoraError, UserError
from allaprima.paint.lora.files import unpickle as module
from allaprima.paint.lora.files.reader import read_lora
from allaprima.paint.lora.files.unpickle import convert
from allaprima.paint.lora.update import delta_of

NETWORKS = qwen_networks()
UPDATES = make_updates(NETWORKS, r"0\.attn\.to_q$")
PEFT = spell(UPDATES, "PEFT")


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("exploded",)


def test_the_folder_of_the_articles_is_converted_in_place(tmp_path: Path) -> None:
    folder = tmp_path / "anime-v2"
    folder.mkdir()
    torch.save(PEFT, folder / "pytorch_lora_weights.bin")
    (folder / "adapter_config.json").write_text('{"r": 2, "lora_alpha": 1}', encoding="utf-8")
    target = convert(folder)
    assert target == folder / "pytorch_lora_weights.safetensors"
    lora = read_lora(folder, NETWORKS)
    moved = read_lora(target.rename(tmp_path / "alone.safetensors"), NETWORKS)
    for key, update in UPDATES.items():
        assert torch.equal(delta_of(lora.updates[key]), delta_of(update) / 2)
        assert torch.equal(delta_of(moved.updates[key]), delta_of(update) / 2), "the alpha stayed behind"


@pytest.mark.parametrize("inner", ["state_dict", "params", "params_ema"])
def test_weights_are_found_where_trainings_put_them(tmp_path: Path, inner: str) -> None:
    torch.save({"params": {"worse": torch.zeros(1)}, inner: PEFT}, tmp_path / "a.pth")
    assert {*load_file(convert(tmp_path / "a.pth"))} == {*PEFT}


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    torch.save(PEFT, tmp_path / "a.bin")
    (tmp_path / "a.safetensors").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="there already"):
        convert(tmp_path / "a.bin")
    assert (tmp_path / "a.safetensors").read_text(encoding="utf-8") == "mine"


def test_links_as_in_the_cache_of_hugging_face(tmp_path: Path) -> None:
    blobs, folder = tmp_path / "blobs", tmp_path / "snapshot"
    for one in (blobs, folder):
        one.mkdir()
    torch.save(PEFT, blobs / "abc")
    (blobs / "def").write_text('{"r": 2, "lora_alpha": 1}', encoding="utf-8")
    (folder / "adapter_model.bin").symlink_to("../blobs/abc")
    (folder / "adapter_config.json").symlink_to("../blobs/def")
    target = convert(folder)
    assert target == folder / "adapter_model.safetensors"
    assert len(list(blobs.iterdir())) == 2
    lora = read_lora(target.rename(tmp_path / "alone.safetensors"), NETWORKS)
    for key, update in UPDATES.items():
        assert torch.equal(delta_of(lora.updates[key]), delta_of(update) / 2), "the alpha stayed behind"


def test_what_is_refused_in_the_end_leaves_what_was_there(tmp_path: Path) -> None:
    torch.save({**PEFT, "x.lora_A.weight": torch.empty(0, 4)}, tmp_path / "a.bin")
    with pytest.raises(LoraError, match=r"a\.bin: 'x\.lora_A\.weight' has shape \[0, 4\]; expected"):
        convert(tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.bin"]
    (tmp_path / "a.safetensors").write_text("mine", encoding="utf-8")
    with pytest.raises(LoraError, match="expected at least one number"):
        convert(tmp_path / "a.bin", overwrite=True)
    assert (tmp_path / "a.safetensors").read_text(encoding="utf-8") == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_pickle_under_a_false_name_is_converted_in_place_as_its_refusal_says(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    torch.save(PEFT, tmp_path / "a.bin")
    (tmp_path / "a.bin").rename(path)
    with pytest.raises(LoraError, match=r"prima lora convert .*a\.safetensors --overwrite$"):
        read_lora(path, NETWORKS)
    with pytest.raises(LoraError, match="a new name, or --overwrite"):
        convert(path)
    assert convert(path, overwrite=True) == path
    assert read_lora(path, NETWORKS).updates.keys() == UPDATES.keys()
    with pytest.raises(LoraError, match="already; expected a pickle"):
        convert(path, overwrite=True)


def here(tmp_path: Path) -> None:
    """Do in this process what the process apart does."""
    module.convert_here(tmp_path / "a.bin", tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(pickle.dumps({"a": Bomb()})),
        lambda path: torch.save({"a": Bomb()}, path),
        lambda path: torch.save([1, 2], path),
        lambda path: torch.save({"a": "words"}, path),
        lambda path: torch.save({1: torch.ones(1)}, path),
        lambda path: torch.save({"a": torch.ones(3, dtype=torch.int64)}, path),
        lambda path: torch.save({}, path),
        lambda path: torch.save(torch.nn.Linear(2, 2), path),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x80\x02"),
        lambda path: path.write_bytes(b"PK\x03\x04 and so on"),
        lambda path: path.write_bytes(b"\x80\x05K\x01."),
        lambda path: zipfile.ZipFile(path, "w").close(),
    ],
)
def test_what_holds_more_than_tensors_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "a.bin")
    with pytest.raises(Exception) as caught:  # noqa: PT011 (the process apart reports whatever it is)
        here(tmp_path)
    assert str(caught.value) or caught.type
    assert not (tmp_path / "exploded").exists()
    assert not (tmp_path / "a.safetensors").exists()


def test_a_refusal_comes_back_as_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Bomb()}, tmp_path / "a.bin")
    with pytest.raises(LoraError, match=r"a\.bin: it holds objects that are no tensors; expected") as caught:
        convert(tmp_path / "a.bin")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.bin"]


def test_a_state_dict_one_level_down_and_plain_alphas(tmp_path: Path) -> None:
    torch.save(
        {"epoch": 3, "state_dict": {"x.alpha": 4, "x.lora_A.weight": torch.ones(2, 4).T}}, tmp_path / "a.bin"
    )
    here(tmp_path)
    from safetensors.torch import load_file

    loaded = load_file(tmp_path / "a.safetensors")
    assert float(loaded["x.alpha"]) == 4
    assert torch.equal(loaded["x.lora_A.weight"], torch.ones(4, 2))


@pytest.mark.parametrize("name", ["missing.bin", "folder", "a.safetensors"])
def test_what_is_no_pickle(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.safetensors").write_bytes(b"x")
    with pytest.raises(LoraError, match="expected"):
        convert(tmp_path / name)


def test_the_target_must_end_in_safetensors(tmp_path: Path) -> None:
    torch.save(PEFT, tmp_path / "a.bin")
    with pytest.raises(LoraError, match=r"ends in \.safetensors"):
        convert(tmp_path / "a.bin", tmp_path / "b.bin")
