"""Giving a network its weights as they are stored, tensor by tensor.

Nothing is held twice: a weight that stays quantised, or is stored in the wanted format, is used where its file is
mapped, and any other is converted by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from allaprima.core.errors import WeightsError
from allaprima.paint.quantization.layers import QuantizedEmbedding, QuantizedLinear
from allaprima.paint.quantization.stored import StoredWeight


def load_weights(
    network: nn.Module,
    weights: Mapping[str, StoredWeight],
    *,
    dtype: torch.dtype,
    device: torch.device | str,
) -> None:
    """Give `network`, which is on the meta device, its weights and freeze it.

    Linear layers and tables of words whose weight is quantised are exchanged for layers that keep it so. Else it
    becomes a parameter or a buffer: floats in `dtype`, whole numbers as they are. Buffers that no file holds stay as
    they are.

    Args:
        weights: by the names of the network's `state_dict`.

    Raises:
        WeightsError: a weight is missing, left over, or of another shape. The network may then be half loaded.
    """
    expected = network.state_dict()
    _check_names(expected.keys(), weights.keys())
    for name, found in weights.items():
        if found.shape != tuple(expected[name].shape):
            raise WeightsError(
                f"got {name[:100]} of shape {found.shape}; expected {tuple(expected[name].shape)}"
            )
    modules = dict(network.named_modules())
    for path, module in modules.items():
        _load_module(network, path, module, weights, dtype, torch.device(device))
    network.eval().requires_grad_(False)


def _load_module(
    network: nn.Module,
    path: str,
    module: nn.Module,
    weights: Mapping[str, StoredWeight],
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    prefix = f"{path}." if path else ""
    stored = weights.get(f"{prefix}weight")
    if path and stored is not None and stays_quantized(module, stored):
        bias = weights.get(f"{prefix}bias")
        ready = None if bias is None else bias.dequantize(dtype, device)
        exchange(network, path, stored, ready, dtype, device)
        return
    for own, tensor in {**module._parameters, **module._buffers}.items():
        found = weights.get(f"{prefix}{own}")
        if tensor is None or found is None:
            continue
        loaded = _as_parameter(found, tensor, dtype, device)
        if own in module._parameters:
            module._parameters[own] = nn.Parameter(loaded, requires_grad=False)
        else:
            module._buffers[own] = loaded


def stays_quantized(module: nn.Module, stored: StoredWeight) -> bool:
    """Return whether `module` computes with `stored` as it is: a plain layer whose rows are whole bytes."""
    if stored.is_plain or type(module) not in (nn.Linear, nn.Embedding):
        return False
    return stored.data.numel() % stored.shape[0] == 0 and (stored.scale is None or _fits_rows(stored))


def _fits_rows(stored: StoredWeight) -> bool:
    """Return whether the scales are one for all, or as many for each row."""
    assert stored.scale is not None
    return stored.scale.numel() == 1 or stored.scale.numel() % stored.shape[0] == 0


def exchange(
    network: nn.Module,
    path: str,
    stored: StoredWeight,
    bias: Tensor | None,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    """Put a layer that keeps `stored` in the place of the one at `path`."""
    parent_path, _, name = path.rpartition(".")
    parent = network.get_submodule(parent_path)
    before = network.get_submodule(path)
    moved = StoredWeight(
        data=stored.data.to(device), format=stored.format, shape=stored.shape, scale=stored.scale
    )
    layer: nn.Module
    if isinstance(before, nn.Embedding):
        layer = QuantizedEmbedding(moved, padding_idx=before.padding_idx, dtype=dtype)
    else:
        layer = QuantizedLinear(moved, bias=bias, dtype=dtype)
    # ModuleList and Sequential call their children by numbers, which `_modules` takes and setattr takes too.
    parent._modules[name] = layer.train(before.training)


def _as_parameter(found: StoredWeight, like: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    if found.is_plain and not found.data.is_floating_point():
        return found.data.to(device)
    return found.dequantize(dtype if like.is_floating_point() else like.dtype, device)


def _check_names(expected: Iterable[str], got: Iterable[str]) -> None:
    missing, left_over = sorted(set(expected) - set(got)), sorted(set(got) - set(expected))
    if missing:
        raise WeightsError(f"the file lacks {_first(missing)}; expected a whole one, fetch it again")
    if left_over:
        raise WeightsError(f"the file has {_first(left_over)} too much; expected one of this kind")


def _first(names: list[str]) -> str:
    rest = f" and {len(names) - 2:,} more" if len(names) > 2 else ""
    return ", ".join(name[:100] for name in names[:2]) + rest
