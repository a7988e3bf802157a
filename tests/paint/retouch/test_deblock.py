from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from allaprima.core.errors import WeightsError
from allaprima.core.retouch import Deblock
from allaprima.paint.retouch.deblock import DeblockConfig, DeblockNetwork, without_blocks
from allaprima.paint.retouch.network_files import load_deblock_network, stored
from allaprima.paint.retouch.retoucher import Retoucher

CPU = torch.device("cpu")


def scattered(fold: int = 2) -> DeblockNetwork:
    """A small network whose last convolution says something too."""
    torch.manual_seed(0)
    network = DeblockNetwork(DeblockConfig(channels=8, pairs=1, fold=fold))
    nn.init.normal_(network.leave.weight, std=0.05)
    return network.eval()


def test_it_has_twelve_layers_and_less_than_a_megabyte(tmp_path: Path) -> None:
    network = DeblockNetwork()
    assert sum(isinstance(layer, nn.Conv2d) for layer in network.modules()) == 12
    tensors, metadata = stored(network)
    save_file(tensors, tmp_path / "deblock.safetensors", metadata)
    assert (tmp_path / "deblock.safetensors").stat().st_size < 1e6


def test_an_untrained_one_changes_nothing() -> None:
    picture = torch.rand(1, 3, 17, 30)
    assert torch.equal(without_blocks(picture, DeblockNetwork(DeblockConfig(channels=4, pairs=1))), picture)


@pytest.mark.parametrize("fold", [1, 2, 4])
def test_pictures_of_any_size_keep_it_and_stay_pictures(fold: int) -> None:
    network = scattered(fold)
    picture = torch.rand(2, 3, 19, 34)
    cleaned = without_blocks(picture, network)
    assert cleaned.shape == picture.shape
    assert 0 <= float(cleaned.min()) <= float(cleaned.max()) <= 1
    assert not torch.allclose(cleaned, picture, atol=1e-3)
    whole = without_blocks(picture[:, :, :16, :32], network)
    assert torch.allclose(whole, network(picture[:, :, :16, :32]).clamp(0, 1), atol=1e-5)


def test_a_file_holds_what_was_stored_and_nothing_else_is_read(tmp_path: Path) -> None:
    network, path = scattered(4), tmp_path / "deblock.safetensors"
    tensors, metadata = stored(network)
    save_file(tensors, path, metadata)
    loaded = load_deblock_network(path, CPU, torch.float32)
    assert loaded.config == network.config
    picture = torch.rand(1, 3, 16, 16)
    assert torch.allclose(without_blocks(picture, loaded), without_blocks(picture, network), atol=1e-2)
    save_file(tensors, path, {**metadata, "kind": "matte"})
    with pytest.raises(WeightsError, match="expected kind 'deblock'"):
        load_deblock_network(path, CPU, torch.float32)


def test_a_picture_is_retouched_with_it_and_stays_as_transparent(tmp_path: Path) -> None:
    network, path = scattered(), tmp_path / "deblock.safetensors"
    tensors, metadata = stored(network)
    save_file(tensors, path, metadata)
    rng = np.random.default_rng(0)
    given = Image.fromarray(rng.integers(0, 255, (20, 31, 4), dtype=np.uint8))
    done = Retoucher()(given, Deblock(network=str(path)))
    assert done.image.getchannel("A").tobytes() == given.getchannel("A").tobytes()
    assert done.image.convert("RGB").tobytes() != given.convert("RGB").tobytes()
    assert done.operations == (Deblock(network=path.name),)
    with pytest.raises(WeightsError, match="cannot read"):
        Retoucher().prepare([Deblock(network="nowhere.safetensors")])
