"""How quick quantised layers are: int8 in SDXL's step here, and LoRAs put on layers of SDXL's and Qwen's size.

A step is the sum over its products: every linear layer, convolution and attention of the published U-Net is found by
running it without numbers, measured once for each shape, in turns in each number format, and counted as often as it
comes. Norms and activations, the same in all formats but for their width, are left out.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from benchmarks.harness import Row, measure
from benchmarks.lora_networks import build, one_pass
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.update import LowRank
from allaprima.paint.quantization.formats import GGUF_BLOCKS
from allaprima.paint.quantization.layers import QuantizedLinear
from allaprima.paint.quantization.loading import exchange
from allaprima.paint.quantization.rounding import MIN_NUMBERS, quantize_weight
from allaprima.paint.quantization.stored import StoredWeight

RUNS = 5
RANK = 16
META = torch.device("meta")
FORMATS: tuple[str, ...] = ("float32", "bfloat16", "int8")

Call = tuple[str, tuple[tuple[int, ...], ...], tuple[tuple[str, Any], ...]]
"""A product: which, the shapes of its tensors, and what else it is told."""
_PRODUCTS: dict[Callable[..., Any], str] = {
    functional.linear: "linear",
    functional.conv2d: "convolution",
    functional.scaled_dot_product_attention: "attention",
}


class _Calls(TorchFunctionMode):
    """Counts the products inside the block."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counter[Call]()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        given = dict(kwargs or {})
        if func in _PRODUCTS:
            tensors = [arg for arg in (*args, *given.values()) if isinstance(arg, Tensor)]
            others = {str(place): arg for place, arg in enumerate(args) if not isinstance(arg, Tensor | None)}
            told = {
                name: str(value) for name, value in (others | given).items() if not isinstance(value, Tensor)
            }
            self.counts[_PRODUCTS[func], tuple(tuple(one.shape) for one in tensors), tuple(told.items())] += 1
        return func(*args, **given)


def step_rows(side: int = 512) -> Iterator[Row]:
    """Yield the milliseconds of SDXL's products at `side` pixels, and by how much int8 is quicker than floats."""
    with _Calls() as calls, torch.inference_mode():
        one_pass(build("sdxl", META, torch.float32), "sdxl", side)()
    totals: dict[str, Counter[str]] = {name: Counter() for name in FORMATS}
    for call, count in calls.counts.items():
        for name, taken in _measure(call).items():
            totals[name][call[0]] += count * taken
    for name, parts in totals.items():
        for kind, taken in parts.items():
            yield Row(name=f"SDXL at {side}, {kind}, {name}", value=taken, unit="ms")
    sums = {name: sum(parts.values()) for name, parts in totals.items()}
    best = min(sums["float32"], sums["bfloat16"])
    yield Row(
        name=f"SDXL at {side}, a step's products, int8 against the best float", value=best / sums["int8"], unit="x",
        must=1.2, aim=1.6, better="higher",
    )  # fmt: skip


@torch.inference_mode()
def _measure(call: Call) -> dict[str, float]:
    """Return the milliseconds of a product in each format, measured in turns."""
    actions = {name: _action(call, name) for name in FORMATS}
    times: dict[str, list[float]] = {name: [] for name in FORMATS}
    for _ in range(RUNS + 1):  # the first is to warm up
        for name, action in actions.items():
            started = time.perf_counter()
            action()
            times[name].append(1e3 * (time.perf_counter() - started))
    return {name: sorted(taken[1:])[RUNS // 2] for name, taken in times.items()}


def _action(call: Call, name: str) -> Callable[[], object]:
    kind, shapes, told = call
    dtype = torch.float32 if name == "float32" else torch.bfloat16
    tensors = [torch.randn(shape).mul_(0.05).to(dtype) for shape in shapes]
    if kind == "attention":
        query, key, value = tensors
        return lambda: functional.scaled_dot_product_attention(query, key, value)
    if kind == "convolution":
        layer = _convolution(shapes[1], dict(told), dtype)
        return lambda: layer(tensors[0])
    bias = tensors[2] if len(tensors) > 2 else None
    if name == "int8" and tensors[1].numel() >= MIN_NUMBERS:
        quantized = QuantizedLinear(quantize_weight(tensors[1], "int8"), bias=bias, dtype=dtype)
        return lambda: quantized(tensors[0])
    return lambda: functional.linear(tensors[0], tensors[1], bias)


def _convolution(shape: tuple[int, ...], told: Mapping[str, str], dtype: torch.dtype) -> nn.Conv2d:
    """Return the layer of a call, which gives stride and padding as its fourth and fifth arguments."""
    stride, padding = (int(told[place].strip("(),").split(",")[0]) for place in ("3", "4"))
    return nn.Conv2d(shape[1], shape[0], shape[2], stride=stride, padding=padding, dtype=dtype)


def lora_rows() -> Iterator[Row]:
    """Yield how long the next picture waits for another LoRA on quantised layers, and what changes in the base."""
    for label, network in (
        ("SDXL", build("attention", META, torch.bfloat16)),
        ("Qwen-Image", _qwen_transformer()),
    ):
        for stored in ("fp8", "gguf-Q4_K"):
            _quantize_hollow(network, stored)
            yield from _attach_rows(f"{label}, {stored}", network)


def _attach_rows(label: str, network: nn.Module) -> Iterator[Row]:
    layers = {path: layer for path, layer in network.named_modules() if isinstance(layer, QuantizedLinear)}
    rack = Rack({"net": network})
    for name in ("a", "b"):
        rack.register(_Lora(name, layers))
    following = ["a", "b"]

    def swap() -> None:
        rack.set_adapters({following[0]: 1.0})
        following.reverse()

    before = [(layer.weight.data_ptr(), layer.weight._version) for layer in layers.values()]
    swapped = measure(swap, runs=21)
    merged = rack.merge()
    rack.set_adapters({})
    changed = before != [(layer.weight.data_ptr(), layer.weight._version) for layer in layers.values()]
    name = f"{label}: LoRA on {len(layers)} layers, until the next picture"
    yield Row(name=name, value=swapped.median_ms, unit="ms", must=20, aim=3)
    yield Row(name=f"{label}: weights touched or merged", value=float(changed or merged), unit="", must=0)


class _Lora:
    """A LoRA of rank 16 for all layers, whose numbers do not matter."""

    def __init__(self, name: str, layers: Mapping[str, nn.Linear]) -> None:
        self.name = name
        self.vectors: Mapping[str, Tensor] = {}
        self.updates = {
            f"net.{path}": LowRank(
                down=torch.zeros(RANK, layer.in_features, dtype=torch.bfloat16),
                up=torch.zeros(layer.out_features, RANK, dtype=torch.bfloat16),
            )
            for path, layer in layers.items()
        }


def _qwen_transformer() -> nn.Module:
    from diffusers import QwenImageTransformer2DModel

    with torch.device("meta"):
        network: nn.Module = QwenImageTransformer2DModel()
    return network


def _quantize_hollow(network: nn.Module, stored: str) -> None:
    """Give the layers whose rows are whole blocks weights that nobody reads, so that they take no memory."""
    numbers, num_bytes = GGUF_BLOCKS.get(stored, (1, 1))
    for path, layer in list(network.named_modules()):
        if not isinstance(layer, nn.Linear) or layer.in_features % numbers:
            continue
        shape = (layer.out_features, layer.in_features)
        rows = torch.empty(shape[0], shape[1] // numbers * num_bytes, dtype=torch.uint8)
        data = rows.view(torch.float8_e4m3fn) if stored == "fp8" else rows
        weight = StoredWeight(data=data, format=stored, shape=shape)
        exchange(network, path, weight, None, torch.bfloat16, torch.device("cpu"))
