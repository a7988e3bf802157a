"""Files in another number format are converted a portion at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.tiny_sdxl import shapes_of, write_tiny_file, write_tiny_sdxl

from allaprima.paint.bases.sdxl import parts
from allaprima.paint.bases.sdxl.base import load_sdxl
from allaprima.paint.bases.sdxl.parts import read_tensors


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
