"""Networks from tensors: whole, converted a portion at a time, or refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.tiny_sdxl import edit_json, shapes_of, write_tiny_file, write_tiny_sdxl

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.sdxl import parts
from allaprima.paint.bases.sdxl.base import load_sdxl
from allaprima.paint.bases.sdxl.parts import read_tensors, refuse_pickle


def test_the_autoencoder_stays_in_float32_beside_half_precision(copy: Path) -> None:
    base = load_sdxl(copy, dtype=torch.float16)
    assert (base.dtype, base.autoencoder.dtype) == (torch.float16, torch.float32)
    edit_json(copy / "vae" / "config.json", force_upcast=False)
    assert load_sdxl(copy, dtype=torch.float16).autoencoder.dtype == torch.float16


def test_old_names_of_the_autoencoders_attention(copy: Path, folder: Path) -> None:
    file = copy / "vae" / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(file)
    for new, name in old.items():
        tensors = {
            key.replace(f"attentions.0.{new}.", f"attentions.0.{name}."): t for key, t in tensors.items()
        }
    save_file(tensors, file)
    latents = torch.randn(1, 4, 4, 4)
    assert torch.equal(load_sdxl(copy).decode(latents), load_sdxl(folder).decode(latents))


def test_a_unet_that_is_no_sdxl(copy: Path) -> None:
    edit_json(copy / "unet" / "config.json", addition_embed_type=None)
    with pytest.raises(WeightsError, match="expected 'text_time'"):
        load_sdxl(copy)
    edit_json(copy / "unet" / "config.json", addition_embed_type="text_time", in_channels=8)
    with pytest.raises(
        WeightsError, match="takes 8 channels; expected 4, or 9 for painting what a mask says"
    ):
        load_sdxl(copy)


def test_parts_of_different_checkpoints(copy: Path) -> None:
    edit_json(copy / "text_encoder" / "config.json", hidden_size=16)
    with pytest.raises(WeightsError, match=r"text_encoder has .* of shape \(.*32.*\); expected \(.*16.*\)"):
        load_sdxl(copy)


def test_weights_that_lack_a_tensor_or_have_one_too_many(copy: Path) -> None:
    file = copy / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "extra": torch.zeros(1)}, file)
    with pytest.raises(WeightsError, match=r"vae has extra; expected the .* tensors of its kind only"):
        load_sdxl(copy)
    del tensors["decoder.conv_in.bias"]
    save_file(tensors, file)
    with pytest.raises(WeightsError, match=r"vae lacks decoder\.conv_in\.bias; expected all"):
        load_sdxl(copy)


def test_damaged_files(copy: Path) -> None:
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    whole = file.read_bytes()
    for damaged in (b"", whole[:5], whole[: len(whole) // 2], b"\xff" * 8 + whole[8:], b"\0" * 64):
        file.write_bytes(damaged)
        with pytest.raises(WeightsError, match=r"cannot read diffusion_pytorch_model.safetensors"):
            load_sdxl(copy)
    (copy / "unet" / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_sdxl(copy)


@pytest.mark.parametrize("header_bytes", [640, 896, 1152, 1408])
def test_a_headers_length_does_not_make_a_pickle(header_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "sd.safetensors"
    for padding in range(2048):
        save_file({"a": torch.zeros(1)}, path, {"x": "x" * padding})
        if int.from_bytes(path.read_bytes()[:8], "little") == header_bytes:
            break
    assert int.from_bytes(path.read_bytes()[:8], "little") == header_bytes
    refuse_pickle(path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError, match="is a pickle"):
        refuse_pickle(path)


def test_pickles_are_never_read(copy: Path, tmp_path: Path) -> None:
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    weights.with_suffix(".bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError, match="is a pickle"):
        load_sdxl(copy)
    for name in ("model.ckpt", "model.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        with pytest.raises(WeightsError, match="is a pickle, which may run any code"):
            load_sdxl(tmp_path / name)


class Trap:
    """Fails the test when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle was read",))


@pytest.mark.parametrize("portion", [1, 1000, 2**28])
def test_portions_of_any_size_give_the_same_tensors(
    portion: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PORTION", portion)
    stored = {f"{number}": torch.randn(7, number + 1).half() for number in range(20)}
    stored["ids"] = torch.arange(5)
    stored["kept"] = torch.randn(3)
    save_file(stored, tmp_path / "some.safetensors")
    read = read_tensors(
        tmp_path / "some.safetensors", lambda name: None if name == "7" else torch.float32
    )  # fmt: skip
    assert read.keys() == stored.keys()
    for name, tensor in read.items():
        wanted = stored[name] if name in ("7", "ids") else stored[name].float()
        assert tensor.dtype == wanted.dtype
        assert torch.equal(tensor, wanted)


@pytest.mark.parametrize("layout", ["folder", "file"])
def test_a_base_stored_in_half_precision_is_the_one_it_was(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PORTION", 4096)
    folder = write_tiny_sdxl(tmp_path / "base", dtype=torch.float16)
    path = folder if layout == "folder" else write_tiny_file(tmp_path / "base.safetensors", folder)
    wide = load_sdxl(path, dtype=torch.float32, shapes=shapes_of(folder))
    narrow = load_sdxl(path, dtype=torch.float16, shapes=shapes_of(folder))
    for one, other in zip(wide.stages().values(), narrow.stages().values(), strict=True):
        for network, same in zip(one, other, strict=True):
            for name, weight in network.state_dict().items():
                assert torch.equal(weight, same.state_dict()[name].to(weight.dtype)), name
    assert wide.dtype == torch.float32
