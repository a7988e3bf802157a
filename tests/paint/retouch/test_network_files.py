from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.tiny_retouch import tiny_matte_network, tiny_restyler, write_network

from allaprima.core.errors import WeightsError
from allaprima.paint.retouch.network_files import load_matte_network, load_restyler, stored

CPU = torch.device("cpu")


def test_networks_come_back_as_they_were_written(tmp_path: Path) -> None:
    matte, restyler = tiny_matte_network().half().float(), tiny_restyler().half().float()
    again = load_matte_network(write_network(tmp_path / "matte.safetensors", matte), CPU, torch.float32)
    pixels = torch.rand(1, 3, 32, 32)
    assert torch.allclose(again(pixels), matte(pixels), atol=1e-4)
    painter = load_restyler(write_network(tmp_path / "restyle.safetensors", restyler), CPU, torch.float32)
    assert torch.allclose(painter(pixels, "flat"), restyler(pixels, "flat"), atol=1e-4)


def test_other_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    other = write_network(tmp_path / "restyle.safetensors", tiny_restyler())
    with pytest.raises(WeightsError, match="expected kind 'matte'"):
        load_matte_network(other, CPU, torch.float32)
    with pytest.raises(WeightsError, match="cannot read"):
        load_restyler(tmp_path / "absent.safetensors", CPU, torch.float32)
    tensors, metadata = stored(tiny_matte_network())
    for changed, complaint in (
        ({"config": "{"}, "no readable configuration"),
        ({"config": '{"widths": [8]}'}, "does not fit"),
        ({"config": '{"colour": 1}'}, "does not fit"),
    ):
        save_file(tensors, tmp_path / "m.safetensors", {**metadata, **changed})
        with pytest.raises(WeightsError, match=complaint):
            load_matte_network(tmp_path / "m.safetensors", CPU, torch.float32)
