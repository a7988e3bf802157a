"""Weight files of upscalers: the one that ships, and those that people have."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from allaprima.core.errors import WeightsError
from allaprima.core.retouch import SHIPPED_UPSCALER
from allaprima.paint.retouch.loaded_upscaler import LoadedUpscaler
from allaprima.paint.retouch.spandrel_upscaler import build_spandrel_upscaler
from allaprima.paint.retouch.tiles import TileSize
from allaprima.paint.retouch.upscaler import SCALE, Upscaler, UpscalerConfig

FORMAT = "1"
KIND = "upscaler"
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def load_upscaler(path: Path, device: torch.device, dtype: torch.dtype) -> LoadedUpscaler:
    """Load an upscaler, ours or another program's.

    Raises:
        WeightsError: there is no such file, or it holds no upscaler.
    """
    tensors, metadata = _read(path)
    if metadata.get("kind") is None:
        return build_spandrel_upscaler(path, tensors, device, dtype)
    model = _build(path, tensors, metadata).to(device=device, dtype=dtype)
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def enlarge(pixels: Tensor) -> Tensor:
        enlarged: Tensor = model(pixels.contiguous(memory_format=torch.channels_last))
        return enlarged

    return LoadedUpscaler(enlarge=enlarge, scale=SCALE, tiles=TileSize(reach=model.config.reach))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return a file's tensors and metadata; a pickle is refused by its first bytes, whatever its name."""
    try:
        with path.open("rb") as file:
            if file.read(4).startswith(_PICKLES):
                raise WeightsError(
                    f"{path} is a pickle, which can run programs when it is read; expected .safetensors: "
                    f"convert it with prima lora convert {path}"
                )
        with safe_open(path, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name).float() for name in opened.keys()}  # noqa: SIM118 (not a dict)
            return tensors, opened.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read {path}: {error}; expected a whole safetensors file") from error


def _build(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> Upscaler:
    if metadata.get("kind") != KIND or metadata.get("format") != FORMAT:
        got = f"kind {metadata.get('kind')!r}, format {metadata.get('format')!r}"
        raise WeightsError(f"{path} has {got}; expected kind {KIND!r}, format {FORMAT!r}")
    try:
        model = Upscaler(UpscalerConfig(**json.loads(metadata["config"])))
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} does not fit its own configuration: {str(error)[:200]}") from error
    return model.eval().requires_grad_(False)


def stored_upscaler(model: Upscaler) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata to write for `model`; its training adds to the metadata."""
    tensors = {name: tensor.to(torch.float16) for name, tensor in model.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "kind": KIND,
        "title": f"Alla Prima {SHIPPED_UPSCALER} {KIND}, {SCALE}x",
        "license": "Apache-2.0",
        "config": json.dumps(asdict(model.config)),
    }
    return tensors, metadata
