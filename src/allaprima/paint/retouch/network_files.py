"""The weight files of the networks that ship for retouching: safetensors whose metadata says what they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from allaprima.core.errors import WeightsError
from allaprima.paint.retouch.deblock import DeblockConfig, DeblockNetwork
from allaprima.paint.retouch.matte_network import MatteConfig, MatteNetwork
from allaprima.paint.retouch.restyler import Restyler
from allaprima.paint.retouch.style_decoder import StyleConfig

N = TypeVar("N", bound=nn.Module)
FORMAT: Final = "1"
FOLDER: Final = Path(__file__).parents[2] / "weights" / "retouch"
MATTE_PATH: Final = FOLDER / "matte.safetensors"
RESTYLE_PATH: Final = FOLDER / "restyle.safetensors"


def load_matte_network(path: Path, device: torch.device, dtype: torch.dtype) -> MatteNetwork:
    """Load a network that finds subjects.

    Raises:
        WeightsError: there is no such file, or it is none of these.
    """
    network = _build(path, "matte", lambda config: MatteNetwork(MatteConfig(**config)))
    return _ready(network, device, dtype)


def load_restyler(path: Path, device: torch.device, dtype: torch.dtype) -> Restyler:
    """Load a network that paints in other styles.

    Raises:
        WeightsError: there is no such file, or it is none of these.
    """
    return _ready(_build(path, "restyle", lambda config: Restyler(StyleConfig(**config))), device, dtype)


def load_deblock_network(path: Path, device: torch.device, dtype: torch.dtype) -> DeblockNetwork:
    """Load a network that takes blocks away.

    Raises:
        WeightsError: there is no such file, or it is none of these.
    """
    network = _build(path, "deblock", lambda config: DeblockNetwork(DeblockConfig(**config)))
    return _ready(network, device, dtype)


def _build(path: Path, kind: str, make: Callable[[Mapping[str, Any]], N]) -> N:
    config, tensors = _read(path, kind)
    try:
        network = make(config)
        network.load_state_dict(tensors)
    except (TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} does not fit its own configuration: {str(error)[:200]}") from error
    return network


_KINDS: Final[dict[type[nn.Module], str]] = {
    MatteNetwork: "matte", Restyler: "restyle", DeblockNetwork: "deblock",
}  # fmt: skip


def stored(network: MatteNetwork | Restyler | DeblockNetwork) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata to write for `network`; its training adds to the metadata."""
    kind = _KINDS[type(network)]
    metadata = {
        "format": FORMAT,
        "kind": kind,
        "title": f"Alla Prima {kind}",
        "license": "Apache-2.0",
        "config": json.dumps(asdict(network.config)),
    }
    return {name: tensor.to(torch.float16) for name, tensor in network.state_dict().items()}, metadata


def _ready(network: N, device: torch.device, dtype: torch.dtype) -> N:
    for parameter in network.to(device=device, dtype=dtype).parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network.eval().requires_grad_(False)


def _read(path: Path, kind: str) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    """Return a file's configuration and its tensors in float32."""
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name).float() for name in opened.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read {path}: {error}; expected a whole safetensors file") from error
    if metadata.get("kind") != kind or metadata.get("format") != FORMAT:
        got = f"kind {metadata.get('kind')!r}, format {metadata.get('format')!r}"
        raise WeightsError(f"{path} has {got}; expected kind {kind!r}, format {FORMAT!r}")
    try:
        config = json.loads(metadata["config"])
        return {
            key: tuple(value) if isinstance(value, list) else value for key, value in config.items()
        }, tensors
    except (KeyError, ValueError, AttributeError) as error:
        raise WeightsError(f"{path} has no readable configuration; expected JSON under 'config'") from error
