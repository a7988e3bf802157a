from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.tiny_klein import write_tiny_klein
from tests.tiny_loras import make_updates
from tests.tiny_qwen import write_tiny_qwen
from tests.tiny_sdxl import write_tiny_sdxl
from tests.tiny_z_image import write_tiny_z_image

from allaprima.paint.bases.loading import load_base
from allaprima.paint.device.offload_hooks import find_hook_registry
from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.update import LowRank
from allaprima.paint.memory import offload

CPU = torch.device("cpu")


@pytest.mark.parametrize("write", [write_tiny_qwen, write_tiny_klein, write_tiny_z_image])
def test_a_lora_is_worn_by_a_streamed_network(write: Callable[[Path], Path], tmp_path: Path) -> None:
    base = load_base(str(write(tmp_path / "base")), device=CPU)
    network = base.stages()["predict"][0]
    with torch.inference_mode():
        text = base.encode_text(["a cat"])
        latents = base.noise([1], 64, 64)
        at = torch.tensor([0.5])
        plain = base.predict(latents, at, text)
    rack = Rack(base.modules())
    rack.register(Ink(make_updates(base.modules(), r"to_[qkv]$")))
    rack.set_adapters({"ink": 1.0})
    with torch.inference_mode():
        wanted = base.predict(latents, at, text)
        assert not torch.equal(wanted, plain)
        rack.set_adapters({})
        for ahead in (True, False):
            offload.stream([network], CPU, ahead=ahead)
            streamed = Rack(base.modules(), device=CPU)
            streamed.register(Ink(make_updates(base.modules(), r"to_[qkv]$")))
            streamed.set_adapters({"ink": 1.0})
            torch.testing.assert_close(base.predict(latents, at, text), wanted, rtol=1e-5, atol=1e-6)
            assert not streamed.merge()
            streamed.set_adapters({})
            assert torch.equal(base.predict(latents, at, text), plain)
            offload.stop_streaming(network)
        assert torch.equal(base.predict(latents, at, text), plain)


def test_streaming_leaf_by_leaf_is_undone(tmp_path: Path) -> None:
    encoder = load_base(str(write_tiny_sdxl(tmp_path / "base")), device=CPU).stages()["text"][0]
    offload.stream([encoder], CPU, ahead=False)
    registries = [find_hook_registry(module) for module in encoder.modules()]
    assert any(registry is not None and registry.hooks for registry in registries)
    offload.stop_streaming(encoder)
    assert not any(registry.hooks for registry in registries if registry is not None)


class Ink:
    """A LoRA as the rack sees it."""

    name = "ink"

    def __init__(self, updates: dict[str, LowRank]) -> None:
        self.updates = updates
        self.vectors: dict[str, torch.Tensor] = {}
