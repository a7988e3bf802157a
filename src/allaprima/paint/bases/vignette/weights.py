"""Vignette's weight files: safetensors whose metadata carries the configuration.

The metadata of every file holds its `kind`, its `config` as JSON, its licence, and its `format` version. Weights are
stored in half precision, bf16 for the denoiser and fp16 for the autoencoder, and computed with in whatever the device
is quick at.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.vignette.autoencoder import Autoencoder, AutoencoderConfig
from allaprima.paint.bases.vignette.denoiser import Denoiser, DenoiserConfig

M = TypeVar("M", bound=nn.Module)

FORMAT = "1"
_STORED = {"autoencoder": torch.float16, "denoiser": torch.bfloat16}


def load_autoencoder(path: Path, device: torch.device, dtype: torch.dtype) -> Autoencoder:
    """Load an autoencoder to paint with."""
    config, tensors = _read(path, "autoencoder", device)
    model = _build(path, lambda: Autoencoder(AutoencoderConfig(**_tuples(config))), tensors)
    # In place, for the stubs of `Module.to` do not know memory formats.
    for parameter in model.to(device=device, dtype=dtype).parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return model


def load_denoiser(path: Path, device: torch.device, dtype: torch.dtype) -> Denoiser:
    """Load a denoiser to paint with."""
    config, tensors = _read(path, "denoiser", device)
    return _build(path, lambda: Denoiser(DenoiserConfig(**_tuples(config))), tensors).to(
        device=device, dtype=dtype
    )


def stored(model: Autoencoder | Denoiser) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata to write for `model`; its training adds to the metadata."""
    kind = type(model).__name__.lower()
    tensors = {
        name: tensor.to(_STORED[kind]) if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "kind": kind,
        "title": f"Alla Prima Vignette {kind}",
        "license": "Apache-2.0",
        "config": json.dumps(asdict(model.config)),
    }
    return tensors, metadata


def _read(path: Path, kind: str, device: torch.device) -> tuple[dict[str, object], dict[str, Tensor]]:
    """Return a file's configuration and tensors, on the CPU, or without their numbers on the meta device."""
    place = "meta" if device.type == "meta" else "cpu"
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name).to(place) for name in opened.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"cannot read {path.name} in {path.parent}: {error}; expected a whole safetensors file, reinstall it"
        ) from error
    if metadata.get("kind") != kind or metadata.get("format") != FORMAT:
        got = f"kind {metadata.get('kind')!r}, format {metadata.get('format')!r}"
        raise WeightsError(f"{path} has {got}; expected kind {kind!r}, format {FORMAT!r}")
    try:
        return json.loads(metadata["config"]), tensors
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path} has no readable configuration; expected JSON under 'config'") from error


def _build(path: Path, make: Callable[[], M], tensors: dict[str, Tensor]) -> M:
    """Return the model of `make`, built without memory of its own and given the tensors."""
    try:
        with torch.device("meta"):
            model = make()
        model.load_state_dict(
            {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}, assign=True
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} does not fit its own configuration: {error}") from error
    return model.eval().requires_grad_(False)


def _tuples(config: dict[str, object]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
