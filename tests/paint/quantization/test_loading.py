"""Networks get their weights as they are stored."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from allaprima.core.errors import WeightsError
from allaprima.paint.quantization.layers import QuantizedEmbedding, QuantizedLinear
from allaprima.paint.quantization.loading import load_weights
from allaprima.paint.quantization.stored import StoredWeight


def make() -> nn.Module:
    network = nn.ModuleDict(
        {
            "words": nn.Embedding(8, 64),
            "layers": nn.Sequential(nn.Linear(64, 32), nn.GELU(), nn.Linear(32, 64, bias=False)),
            "norm": nn.LayerNorm(64),
            "picture": nn.Conv2d(4, 4, 3),
        }
    )
    network.register_buffer("count", torch.tensor(3))
    return network


def stored_as_fp8(network: nn.Module) -> dict[str, StoredWeight]:
    weights = {}
    for name, tensor in network.state_dict().items():
        narrow = tensor.to(torch.float8_e4m3fn) if tensor.is_floating_point() else tensor
        kind = "fp8" if tensor.is_floating_point() else "plain"
        weights[name] = StoredWeight(data=narrow, format=kind, shape=tuple(tensor.shape))
    return weights


def on_meta() -> nn.Module:
    with torch.device("meta"):
        return make()


def test_layers_stay_quantised_and_all_else_is_cast() -> None:
    weights = stored_as_fp8(make())
    network = on_meta()
    load_weights(network, weights, dtype=torch.bfloat16, device="cpu")
    first, last = network.get_submodule("layers.0"), network.get_submodule("layers.2")
    assert isinstance(first, QuantizedLinear)
    assert isinstance(last, QuantizedLinear)
    assert isinstance(network.get_submodule("words"), QuantizedEmbedding)
    assert first.weight.data_ptr() == weights["layers.0.weight"].data.data_ptr()  # nothing is copied
    assert {p.dtype for p in network.parameters()} == {torch.uint8, torch.bfloat16}
    assert network.get_buffer("count") == 3
    assert not any(tensor.is_meta for tensor in network.state_dict().values())


def test_it_computes_what_the_dequantised_network_computes() -> None:
    weights = stored_as_fp8(make())
    quantized, plain = on_meta(), make()
    load_weights(quantized, weights, dtype=torch.float32, device="cpu")
    plain.load_state_dict({name: weight.dequantize(torch.float32) for name, weight in weights.items()})
    tokens = torch.tensor([[1, 5, 7]])
    states = [network.get_submodule("words")(tokens) for network in (quantized, plain)]
    torch.testing.assert_close(*states, rtol=0, atol=0)
    out = [network.get_submodule("layers")(states[0]) for network in (quantized, plain)]
    torch.testing.assert_close(*out, rtol=0, atol=0)


def test_missing_and_left_over_weights_are_named() -> None:
    weights = stored_as_fp8(make())
    norm = weights.pop("norm.weight")
    with pytest.raises(WeightsError, match=r"lacks norm\.weight"):
        load_weights(on_meta(), weights, dtype=torch.float32, device="cpu")
    with pytest.raises(WeightsError, match=r"has more too much"):
        load_weights(
            on_meta(), {**weights, "norm.weight": norm, "more": norm}, dtype=torch.float32, device="cpu"
        )
    bias = {"norm.weight": norm, "norm.bias": weights["layers.0.bias"]}
    with pytest.raises(WeightsError, match=r"norm\.bias of shape \(32,\); expected \(64,\)"):
        load_weights(on_meta(), {**weights, **bias}, dtype=torch.float32, device="cpu")
