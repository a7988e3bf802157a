from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from tests.paint.lora.files.bad_files import GOOD
from tests.tiny_loras import make_updates, qwen_networks, save, spell

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.folder import DEFAULT_FOLDER, LoraFolder, existing_folder
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.reader import read_lora
from allaprima.paint.lora.update import delta_of

NETWORKS = qwen_networks()
UPDATES = make_updates(NETWORKS, r"0\.attn\.to_q$")
TENSORS = spell(UPDATES, "LightX2V")
PEFT = spell(UPDATES, "PEFT")
CONFIG = '{"peft_type": "LORA", "r": 2, "lora_alpha": 1, "target_modules": ["to_q"]}'


def style(folder: Path, weights: str = "pytorch_lora_weights.safetensors") -> Path:
    """Write a LoRA in a folder of its own, at half strength by its configuration."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(CONFIG, encoding="utf-8")
    if weights.endswith("safetensors"):
        save(folder / weights, PEFT)
    else:
        torch.save(PEFT, folder / weights)
    return folder


def read(folder: LoraFolder, name: str) -> Lora:
    return read_lora(folder.require(name).path, NETWORKS, name=name)


def test_a_new_file_is_there_at_once(tmp_path: Path) -> None:
    folder = LoraFolder(tmp_path / "loras")
    assert folder.names() == ()
    with pytest.raises(LoraError, match=r"'ink', which is not in .*expected a file in it"):
        folder.require("ink")
    (tmp_path / "loras").mkdir()
    save(tmp_path / "loras" / "墨 ink v1.2.safetensors", TENSORS)
    assert folder.names() == ("墨 ink v1.2",)
    assert read(folder, "墨 ink v1.2").updates.keys() == UPDATES.keys()
    with pytest.raises(LoraError, match=r"expected one of 墨 ink v1\.2"):
        folder.require("ink")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = save(tmp_path / "ink.safetensors", TENSORS)
    os.utime(path, ns=(1, 1))
    folder = LoraFolder(tmp_path)
    first, stamp = read(folder, "ink"), folder.require("ink").stamp
    save(path, {name: 2 * tensor for name, tensor in TENSORS.items()})
    assert folder.require("ink").stamp != stamp
    for key, update in read(folder, "ink").updates.items():
        assert not torch.equal(delta_of(update), delta_of(UPDATES[key]))
    for key, update in first.updates.items():
        assert torch.equal(delta_of(update), delta_of(UPDATES[key])), "what was read changed with its file"


@pytest.mark.parametrize(
    "weights", ["pytorch_lora_weights.safetensors", "adapter_model.safetensors", "any.safetensors"]
)
def test_a_folder_of_its_own_counts_with_its_configuration(tmp_path: Path, weights: str) -> None:
    style(tmp_path / "anime-v2", weights)
    folder = LoraFolder(tmp_path)
    assert folder.names() == ("anime-v2",)
    lora = read(folder, "anime-v2")
    for key, update in lora.updates.items():
        assert torch.equal(delta_of(update), delta_of(UPDATES[key]) / 2)
    stamp = folder.require("anime-v2").stamp
    (tmp_path / "anime-v2" / "adapter_config.json").write_text(CONFIG.replace("1,", "20,"), encoding="utf-8")
    assert folder.require("anime-v2").stamp != stamp


def test_a_folder_that_is_one_lora_holds_that_one(tmp_path: Path) -> None:
    folder = LoraFolder(style(tmp_path / "anime-v2"))
    assert folder.names() == ("anime-v2",)
    assert len(read(folder, "anime-v2").updates) == len(UPDATES)


def test_a_pickle_is_refused_with_the_way_out_until_safetensors_lie_beside_it(tmp_path: Path) -> None:
    style(tmp_path / "anime-v2", "pytorch_lora_weights.bin")
    torch.save(TENSORS, tmp_path / "loose.pt")
    folder = LoraFolder(tmp_path)
    assert folder.names() == ("anime-v2", "loose")
    for name, file in (("anime-v2", "anime-v2/pytorch_lora_weights.bin"), ("loose", "loose.pt")):
        with pytest.raises(LoraError, match=f"prima lora convert .*{file}"):
            read(folder, name)
    save(tmp_path / "anime-v2" / "pytorch_lora_weights.safetensors", PEFT)
    save(tmp_path / "loose.safetensors", TENSORS)
    for name in folder.names():
        assert len(read(folder, name).updates) == len(UPDATES)


def test_what_is_no_lora_has_no_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    (tmp_path / "previews").mkdir()
    folder = LoraFolder(tmp_path)
    assert (folder.names(), folder.left_out()) == ((), {})


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a:b.safetensors", "its name holds ':'; rename it, for example to a-b.safetensors"),
        ("a<b>.safetensors", "its name holds '<>'; rename it, for example to a-b.safetensors"),
        (".ink.safetensors", "its name begins with a dot; rename it, for example to ink.safetensors"),
        ("\x1b[2J\n.pt", r"its name holds '\n\x1b'; rename it, for example to [2J.safetensors"),
        (f"{'i' * 201}.safetensors", f"more than 200 characters; rename it, for example to {'i' * 100}"),
        ("?:*.safetensors", "its name holds '*:?'; rename it, for example to lora.safetensors"),
    ],
)
def test_a_lora_whose_name_cannot_be_asked_for_is_left_out_aloud(tmp_path: Path, name: str, why: str) -> None:
    save(tmp_path / name, TENSORS)
    folder = LoraFolder(tmp_path)
    assert folder.names() == ()
    ((path, told),) = folder.left_out().items()
    assert path == tmp_path / name
    assert why in told
    path.rename(tmp_path / told.rpartition(" to ")[2])
    assert len(folder.names()) == 1
    assert folder.left_out() == {}


def test_a_folder_of_its_own_with_such_a_name_is_left_out_aloud(tmp_path: Path) -> None:
    inner = style(tmp_path / "anime:v2")
    assert LoraFolder(tmp_path).left_out() == {
        inner: "its name holds ':'; rename it, for example to anime-v2"
    }
    assert LoraFolder(inner).names() == ()
    assert list(LoraFolder(inner).left_out()) == [inner]


def test_a_folder_that_is_named_has_to_be_there_and_the_usual_one_has_not(tmp_path: Path) -> None:
    assert existing_folder(tmp_path) == tmp_path
    assert existing_folder(None) == DEFAULT_FOLDER
    assert existing_folder(None, [tmp_path]) == DEFAULT_FOLDER
    for name in ("models/Lora", "loras"):
        (tmp_path / "comfy" / name).mkdir(parents=True)
        assert existing_folder(None, [tmp_path, tmp_path / "comfy"]) == tmp_path / "comfy" / name
        listed = tmp_path / "paths.yaml"
        listed.write_text(f"mine:\n  loras: {tmp_path / 'comfy' / name}\n")
        assert existing_folder(None, [listed]) == tmp_path / "comfy" / name
    (tmp_path / "file").touch()
    for name, why in (("none", "not there"), ("file", "not a folder")):
        with pytest.raises(LoraError, match=f"{name} as the folder of LoRAs, which is {why}; expected a"):
            existing_folder(tmp_path / name)


def test_a_configuration_beside_several_weights_is_for_none_of_them(tmp_path: Path) -> None:
    two = style(tmp_path / "two", "a.safetensors")
    save(two / "b.safetensors", PEFT)
    folder = LoraFolder(tmp_path)
    assert folder.names() == ("a", "b")
    assert "beside 2 LoRAs" in folder.left_out()[two / "adapter_config.json"]
    for key, update in read(folder, "a").updates.items():
        assert torch.equal(delta_of(update), delta_of(UPDATES[key]))


@pytest.mark.parametrize(
    "name", ["pytorch_lora_weights.safetensors", "adapter_model.safetensors", "adapter_config.json"]
)
def test_no_file_hides_the_others(tmp_path: Path, name: str) -> None:
    """Diffusers gives every LoRA the same name, and PEFT's configuration has one name only."""
    for other in ("ink", "chalk"):
        save(tmp_path / f"{other}.safetensors", TENSORS)
    if name.endswith("json"):
        (tmp_path / name).write_text(CONFIG, encoding="utf-8")
    else:
        save(tmp_path / name, PEFT)
        style(tmp_path / "anime-v2")
    names = LoraFolder(tmp_path).names()
    assert {"ink", "chalk"} <= set(names)
    assert name.endswith("json") or {"anime-v2", Path(name).stem} <= set(names)
    for key, update in read(LoraFolder(tmp_path), "ink").updates.items():
        assert torch.equal(delta_of(update), delta_of(UPDATES[key])), "another file's configuration counted"


def test_folders_below_are_looked_into(tmp_path: Path) -> None:
    for way in ("ink", "style/ink", "style/old/ink", "style/chalk", "people/chalk", "style/old/oil"):
        (tmp_path / way).parent.mkdir(parents=True, exist_ok=True)
        save(tmp_path / f"{way}.safetensors", TENSORS)
    style(tmp_path / "people" / "anna")
    folder = LoraFolder(tmp_path)
    assert folder.names() == (
        "anna", "ink", "oil", "people/chalk", "style/chalk", "style/ink", "style/old/ink"
    )  # fmt: skip
    asked: dict[str, str | None] = {
        "ink": "ink", "style/ink": "style/ink", "style\\ink": "style/ink", "oil": "style/old/oil", "people/anna": None
    }  # fmt: skip
    for name, place in asked.items():
        file = folder.require(name)
        assert file.name == name
        assert place is None or file.path == tmp_path / f"{place}.safetensors"
    with pytest.raises(LoraError, match="could be any of people/chalk, style/chalk; expected one of these"):
        folder.find("chalk")
    assert folder.find("old/oil") is None
    assert [file.name for file in folder.files()] == list(folder.names())


def test_names_are_found_as_people_write_them(tmp_path: Path) -> None:
    for file in ("GoldenWindSD1.5-V1.safetensors", "Caf\u00e9.safetensors", "Upper.SAFETENSORS"):
        save(tmp_path / file, TENSORS)
    save(tmp_path / "lcm.safetensors", TENSORS, {"ss_output_name": "My Style"})
    folder = LoraFolder(tmp_path)
    found = {
        "GoldenWindSD1.5-V1": "GoldenWindSD1.5-V1.safetensors",
        "goldenwindsd1.5-v1": "GoldenWindSD1.5-V1.safetensors",
        "GoldenWindSD1.5-V1.safetensors": "GoldenWindSD1.5-V1.safetensors", "Cafe\u0301": "Caf\u00e9.safetensors",
        "Caf\u00e9": "Caf\u00e9.safetensors", "Upper": "Upper.SAFETENSORS", "My Style": "lcm.safetensors",
    }  # fmt: skip
    for name, file in found.items():
        assert folder.require(name).path == tmp_path / file
        assert len(read(folder, name).updates) == len(UPDATES)
    save(tmp_path / "LCM.safetensors", TENSORS)
    assert folder.require("LCM").path.name == "LCM.safetensors"
    with pytest.raises(LoraError, match="could be any of LCM, lcm"):
        folder.find("Lcm")


def test_parts_of_a_lora_are_no_loras(tmp_path: Path) -> None:
    for part in (1, 2):
        save(tmp_path / f"ink-0000{part}-of-00002.safetensors", TENSORS)
    folder = LoraFolder(tmp_path)
    assert folder.names() == ()
    assert len(folder.left_out()) == 2
    with pytest.raises(LoraError, match="part 1 of 2 of the LoRA ink; save the LoRA as one file"):
        folder.find("ink-00001-of-00002")
    with pytest.raises(LoraError, match="got LoRA 'ink': it is part 1 of 2"):
        folder.require("ink")


def test_a_folder_of_its_own_hides_neither_its_file_nor_the_folders_in_it(tmp_path: Path) -> None:
    """Trainers leave their checkpoints below, and a configuration beside the only file is no other name for it."""
    style(tmp_path / "anna")
    style(tmp_path / "anna" / "checkpoint-500")
    (tmp_path / "alone").mkdir()
    save(tmp_path / "alone" / "ink.safetensors", PEFT)
    (tmp_path / "alone" / "adapter_config.json").write_text(CONFIG, encoding="utf-8")
    folder = LoraFolder(tmp_path)
    assert folder.names() == ("alone", "anna", "checkpoint-500")
    for name in ("checkpoint-500", "anna/checkpoint-500"):
        assert folder.require(name).path.parent == tmp_path / "anna" / "checkpoint-500"
    for name in ("alone", "ink", "alone/ink"):
        assert folder.require(name).path == tmp_path / "alone" / "ink.safetensors"
    assert LoraFolder(tmp_path / "alone").require("ink").path == tmp_path / "alone" / "ink.safetensors"


def test_folders_that_are_not_looked_into_are_told(tmp_path: Path) -> None:
    folder, disk = tmp_path / "loras", tmp_path / "disk"
    deep = folder.joinpath(*"abcdefghij")
    for place in (disk, deep):
        place.mkdir(parents=True)
        save(place / "ink.safetensors", TENSORS)
    (folder / "more").symlink_to(disk)
    told = LoraFolder(folder).left_out()
    assert told[folder / "more"].startswith("it is a link out of the folder; put the folder itself there")
    assert told[folder.joinpath(*"abcdefghi")].startswith("it lies more than 8 folders deep")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "is a git-lfs pointer, not the file itself"),
        (b"<!DOCTYPE html><html>", "is a web page; expected a whole .safetensors file"),
        (b"", "is empty; expected"),
        (b"\x09\0\0\0\0\0\0\0{", "is cut short or no safetensors file: 9 bytes"),
    ],
)
def test_what_is_no_lora_is_called_by_its_name(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "ink.safetensors").write_bytes(content)
    with pytest.raises(LoraError, match=told):
        read(LoraFolder(tmp_path), "ink")


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_links_into_the_hubs_cache_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: str
) -> None:
    repository = tmp_path / "hub" / "models--owner--lora"
    snapshot, blob = repository / "snapshots" / "c0ffee", repository / "blobs" / "abc"
    snapshot.mkdir(parents=True)
    blob.parent.mkdir()
    save(blob, TENSORS)
    (snapshot / "turbo4.safetensors").symlink_to("../../blobs/abc")
    assert read(LoraFolder(snapshot), "turbo4").updates.keys() == UPDATES.keys()
    home = tmp_path / "loras"
    home.mkdir()
    link = home / ("ink.safetensors" if linked == "file" else "owner")
    link.symlink_to(snapshot / "turbo4.safetensors" if linked == "file" else snapshot)
    name = "ink" if linked == "file" else "turbo4"
    with pytest.raises(LoraError):  # not the cache that is in use
        LoraFolder(home).require(name)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert read(LoraFolder(home), name).updates.keys() == UPDATES.keys()


def test_a_look_at_the_folder_is_kept_until_something_changes(tmp_path: Path) -> None:
    save(tmp_path / "ink.safetensors", TENSORS)
    os.utime(tmp_path, ns=(1, 1))
    folder = LoraFolder(tmp_path)
    seen = folder._look()
    assert folder._look() is seen
    save(tmp_path / "oil.safetensors", TENSORS)
    assert folder.names() == ("ink", "oil")
    assert folder._look() is not folder._look(), "a change a moment ago could be followed by another unseen"


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "loras").write_text("x", encoding="utf-8")
    with pytest.raises(LoraError, match="expected a folder"):
        LoraFolder(tmp_path / "loras").names()


NAMES = [
    "", ".", "..", "../ink", "../../etc/passwd", "/etc/passwd", "a//b", "a/../b", "..\\ink", "~/ink", "./ink",
    "ink/", "a\0b", "\0", "a\nb", "a\tb", "a:b", "C:ink", "<ink>", "ink?", "in*", '"ink"', "a|b", ".hidden",
    "a" * 201, "ink\x7f", "\u202eink", "\ud800", "ink/../../x", "file:///ink", "http://x/ink", "//server/ink",
    "\u2028", "ink\x1b[2J",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "loras").mkdir()
    for place in (tmp_path / "ink.safetensors", tmp_path / "loras" / "ink.safetensors"):
        place.write_bytes(GOOD)
    folder = LoraFolder(tmp_path / "loras")
    for ask in (folder.find, folder.require):
        with pytest.raises(LoraError):
            ask(name)


def test_links_that_leave_the_folder(tmp_path: Path) -> None:
    home, outside = tmp_path / "loras", tmp_path / "outside"
    home.mkdir()
    outside.mkdir()
    (outside / "secret.safetensors").write_bytes(GOOD)
    (outside / "adapter_model.safetensors").write_bytes(GOOD)
    (home / "direct.safetensors").symlink_to(outside / "secret.safetensors")
    (home / "relative.safetensors").symlink_to("../outside/secret.safetensors")
    (home / "folder").symlink_to(outside)
    (home / "inner").mkdir()
    (home / "inner" / "adapter_model.safetensors").symlink_to(outside / "secret.safetensors")
    (home / "beside").mkdir()
    (home / "beside" / "adapter_model.safetensors").write_bytes(GOOD)
    (outside / "adapter_config.json").write_text("{}")
    (home / "beside" / "adapter_config.json").symlink_to(outside / "adapter_config.json")
    (home / "hop.safetensors").symlink_to(home / "direct.safetensors")
    (home / "dangling.safetensors").symlink_to(outside / "missing.safetensors")
    (home / "loop.safetensors").symlink_to("loop.safetensors")
    (home / "own.safetensors").write_bytes(GOOD)
    (home / "alias.safetensors").symlink_to("own.safetensors")
    folder = LoraFolder(home)
    for name in ("direct", "relative", "folder", "inner", "beside", "hop", "dangling", "loop"):
        with pytest.raises(LoraError):
            read(folder, name)
    assert folder.require("alias").path.read_bytes() == GOOD
