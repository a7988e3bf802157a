from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from tests.paint.lora.runtime.nets import (
    Made,
    X,
    close,
    expected,
    low_rank,
    make_net,
    make_rack,
)
from torch import Tensor, nn

from allaprima.paint.bases.vignette.denoiser import Denoiser, DenoiserConfig
from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.update import delta_of


def test_layers_that_are_no_plain_layers_get_their_side_path_too() -> None:
    class Louder(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            return super().forward(input) * 2

    net = Louder(12, 24)
    rack = Rack({"net": nn.Sequential(net)})
    update = low_rank((24, 12), 3, torch.Generator().manual_seed(0))
    rack.register(Made("x", {"net.0": update}))
    x = torch.randn(5, 12)
    plain = net(x)
    rack.set_adapters({"x": 1.0})
    assert close(net(x), plain + x @ delta_of(update).T)
    assert close(net(input=x), net(x))


def test_names_and_copies_of_a_network_with_a_rack_are_the_usual_ones() -> None:
    net = make_net()
    rack = make_rack(net)
    rack.set_adapters({"a": 1.0})
    assert net.state_dict().keys() == make_net().state_dict().keys()
    assert close(copy.deepcopy(net)(X), expected({"a": 1.0}))
    assert repr(net.first).endswith("(in_features=12, out_features=24, bias=True)")


@pytest.fixture
def no_recompiles() -> Iterator[None]:
    torch.compiler.reset()
    with torch._dynamo.config.patch(error_on_recompile=True):
        yield
    torch.compiler.reset()


@pytest.mark.usefixtures("no_recompiles")
@pytest.mark.filterwarnings(
    "ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"
)  # of inductor's own
@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_block_is_compiled_once_for_a_hundred_swaps(backend: str, *, keep: bool) -> None:
    config = DenoiserConfig(
        latent_channels=4, layers=1, heads=2, head_width=16, text_width=32, rope_axes=(4, 6, 6)
    )
    denoiser = Denoiser(config).requires_grad_(requires_grad=False).eval()
    transformer = denoiser.transformer
    rack = Rack({"transformer": transformer}, keep_addresses=keep)
    linears = {
        f"transformer.{path}": tuple(module.weight.shape)
        for path, module in transformer.named_modules()
        if isinstance(module, nn.Linear) and path.startswith("transformer_blocks.")
    }
    for i in range(10):
        draw = torch.Generator().manual_seed(i)
        rack.register(Made(str(i), {key: low_rank(shape, 1 + i, draw) for key, shape in linears.items()}))
    arguments = (torch.randn(1, 4, 4, 4), torch.full((1,), 0.5), torch.randn(1, 5, 32))
    rack.set_adapters({"3": 0.5})
    with torch.inference_mode():
        eager = denoiser(*arguments)
        for block in transformer.transformer_blocks:
            block.compile(backend=backend, fullgraph=True)
        seen = []
        for i in range(100):
            rack.set_adapters({str(i * 7 % 10): 1.0 if i % 3 else 0.5})
            seen.append(denoiser(*arguments))
        rack.set_adapters({"3": 0.5})
        assert torch.allclose(denoiser(*arguments), eager, atol=1e-5)
    assert all(not torch.equal(x, y) for x, y in pairwise(seen))
