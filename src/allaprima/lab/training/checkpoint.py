"""Checkpoints as safetensors: everything a training needs to go on bit for bit, and no pickle.

A checkpoint is one file with the tensors of model, average and optimizer under dotted names and everything
else as JSON in the metadata. It is written beside its place and renamed, so a kill at any moment leaves the
last whole one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from allaprima.core.errors import WeightsError

Optimizers = Mapping[str, torch.optim.Optimizer]
"""Optimizers by the names they have in a checkpoint."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able metadata to `path` in one atomic step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    packed = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    save_file(packed, beside, metadata=text)
    with beside.open("rb") as written:
        os.fsync(written.fileno())
    beside.rename(path)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what :func:`write_tensors` wrote; metadata values stay text.

    Raises:
        WeightsError: the file is missing, cut short or not safetensors.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
            return tensors, opened.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read {path}: {error}; expected a whole safetensors file") from error


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state as tensors named `index.key`, in the order of its parameters."""
    state = optimizer.state_dict()["state"].items()
    return {f"{i}.{key}": torch.as_tensor(value) for i, kept in state for key, value in kept.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, flat: Mapping[str, Tensor]) -> None:
    """Put the state of :func:`flatten_optimizer` back into an optimizer over the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name each tensor `prefix.name`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def of_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors named `prefix.name`, under their plain names."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def learned(model: nn.Module) -> dict[str, Tensor]:
    """Return the model's state without the parameters that want no gradient."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}


def load_learned(model: nn.Module, tensors: Mapping[str, Tensor], names: Collection[str]) -> None:
    """Put tensors back that :func:`learned` gave, all of `names` and no other."""
    if tensors.keys() != set(names):
        odd = sorted(tensors.keys() ^ set(names))
        raise WeightsError(
            f"the checkpoint and the model differ in {len(odd)} tensors, such as {odd[0]}; expected a checkpoint "
            "of this very training, choose another folder"
        )
    model.load_state_dict(dict(tensors), strict=False)


def save_checkpoint(
    path: Path, model: nn.Module, average: nn.Module, optimizers: Optimizers, step: int, seconds: float
) -> None:
    """Write all that :func:`load_checkpoint` needs; `seconds` is how long the training has taken."""
    kept, state = learned(model), average.state_dict()
    tensors = {**with_prefix("model", kept), **with_prefix("average", {name: state[name] for name in kept})}
    for name, optimizer in optimizers.items():
        tensors |= with_prefix(_optimizer_prefix(name), flatten_optimizer(optimizer))
    write_tensors(path, tensors, {"step": str(step), "seconds": f"{seconds:.1f}"})


def load_checkpoint(
    path: Path, model: nn.Module, average: nn.Module, optimizers: Optimizers
) -> tuple[int, float]:
    """Restore a training from `path`; return the updates and the seconds it has behind it.

    Raises:
        WeightsError: the file is cut short or another training's.
    """
    tensors, metadata = read_tensors(path)
    names = learned(model).keys()
    load_learned(model, of_prefix("model", tensors), names)
    load_learned(average, of_prefix("average", tensors), names)
    for name, optimizer in optimizers.items():
        restore_optimizer(optimizer, of_prefix(_optimizer_prefix(name), tensors))
    return int(metadata["step"]), float(metadata.get("seconds", 0.0))


def _optimizer_prefix(name: str) -> str:
    return f"optimizer.{name}" if name else "optimizer"
