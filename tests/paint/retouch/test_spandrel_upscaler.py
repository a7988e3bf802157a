"""Other programs' upscalers. Those tests that read one need spandrel, an extra that `dev` does not bring."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from allaprima.core.errors import WeightsError
from allaprima.core.retouch import Upscale
from allaprima.paint.retouch.spandrel_upscaler import TILES
from allaprima.paint.retouch.upscale import upscale
from allaprima.paint.retouch.upscaler_files import load_upscaler
from allaprima.paint.retouch.work import Workshop, finish

if TYPE_CHECKING:
    from torch import nn

CPU = torch.device("cpu")


def test_without_spandrel_a_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    save_file({"x": torch.zeros(1)}, tmp_path / "theirs.safetensors")
    with pytest.raises(WeightsError, match=r"pip install 'allaprima\[upscalers\]'"):
        load_upscaler(tmp_path / "theirs.safetensors", CPU, torch.float32)


def networks() -> dict[str, nn.Module]:
    """Return networks of three families at tiny size, as spandrel builds them."""
    pytest.importorskip("spandrel")
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact
    from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet
    from spandrel.architectures.SwinIR.__arch.SwinIR import SwinIR

    torch.manual_seed(0)
    return {
        "clean": RRDBNet(num_filters=8, num_blocks=1, scale=1),
        "esrgan": RRDBNet(num_filters=8, num_blocks=1, scale=2),
        "compact": SRVGGNetCompact(num_feat=8, num_conv=2, upscale=4),
        "swinir": SwinIR(
            img_size=16, window_size=8, depths=[1], embed_dim=12, num_heads=[2], mlp_ratio=2, upscale=2,
            upsampler="pixelshuffle",
        ),
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:torch.meshgrid")  # SwinIR builds itself in an old way
@pytest.mark.parametrize(("name", "scale"), [("esrgan", 2), ("compact", 4), ("swinir", 2)])
def test_a_file_of_another_program_enlarges_as_its_network_does(
    tmp_path: Path, name: str, scale: int
) -> None:
    network = networks()[name].eval()
    path = tmp_path / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    loaded = load_upscaler(path, CPU, torch.float32)
    given = torch.rand(1, 3, 24, 16)
    with torch.no_grad():
        expected = network(given).clamp(0, 1)
    assert loaded.scale == scale
    assert torch.allclose(loaded.enlarge(given), expected, atol=1e-5)
    pixels = np.random.default_rng(0).integers(0, 256, (TILES.side + 50, 40, 3), dtype=np.uint8)
    shop = Workshop(device=CPU)
    enlarged = finish(upscale(Image.fromarray(pixels), Upscale(scale=3, upscaler=str(path)), shop))
    assert enlarged.size == (120, 3 * (TILES.side + 50))


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_what_spandrel_does_not_know_is_refused(tmp_path: Path) -> None:
    networks()
    save_file({"lora_up.weight": torch.zeros(4, 4)}, tmp_path / "lora.safetensors")
    with pytest.raises(WeightsError, match="no upscaler that spandrel knows"):
        load_upscaler(tmp_path / "lora.safetensors", CPU, torch.float32)


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_what_does_not_enlarge_is_refused(tmp_path: Path) -> None:
    save_file(networks()["clean"].state_dict(), tmp_path / "clean.safetensors")
    with pytest.raises(WeightsError, match="expected a network that enlarges pictures"):
        load_upscaler(tmp_path / "clean.safetensors", CPU, torch.float32)
