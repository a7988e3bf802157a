"""Weight files of upscalers: the one that ships, and those that people have."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from allaprima.core.errors import RequestError, WeightsError
from allaprima.core.retouch import SHIPPED_UPSCALER
from allaprima.paint.retouch.tiles import TileSize
from allaprima.paint.retouch.upscaler import SCALE, Upscaler, UpscalerConfig

SUFFIX = ".safetensors"
UPSCALER_FOLDERS = tuple(
    f"{above}{name}"
    for above in ("", "models/")
    for name in ("upscale_models", "ESRGAN", "RealESRGAN", "SwinIR", "DAT")
)
"""Where ComfyUI and A1111 keep upscalers, below the folder of models that a user names."""
FORMAT = "1"
KIND = "upscaler"
_SHIPPED = Path(__file__).parents[2] / "weights" / "retouch" / "upscaler.safetensors"


@dataclass(frozen=True, kw_only=True)
class LoadedUpscaler:
    """An upscaler to work with, whoever made it."""

    enlarge: Callable[[Tensor], Tensor]
    """Takes (1, 3, h, w) in [0, 1] and gives (1, 3, scale h, scale w)."""
    scale: int
    """How many times as many pixels it gives a side."""
    tiles: TileSize
    """How to cut a picture for it."""


def locate_upscaler(name: str, models_dirs: Sequence[Path] = ()) -> Path:
    """Return the weight file of the upscaler called `name`, without reading it.

    Args:
        name: vignette, a file, or the name of a file in a folder of upscalers, with or without its ending.
        models_dirs: folders of models of ComfyUI or A1111.

    Raises:
        RequestError: there is none of that name.
    """
    if name == SHIPPED_UPSCALER:
        return _SHIPPED
    if (path := Path(name)).is_file():
        return path
    found = {file.stem: file for folder in models_dirs for file in reversed(upscaler_files(folder))}
    if (known := found.get(name) or found.get(path.stem)) is not None:
        return known
    expected = ", ".join([SHIPPED_UPSCALER, *sorted(found)][:20])
    raise RequestError(
        f"got the upscaler {name[:80]!r}; expected {expected}, a .safetensors file, or a name inside --models-dir"
    )


def upscaler_files(models_dir: Path) -> list[Path]:
    """Return the upscalers' weight files in a folder of models, sorted by name."""
    folders = [models_dir / below for below in UPSCALER_FOLDERS]
    return sorted(file for folder in folders if folder.is_dir() for file in folder.glob(f"*{SUFFIX}"))


def load_upscaler(path: Path, device: torch.device, dtype: torch.dtype) -> LoadedUpscaler:
    """Load an upscaler of ours.

    Raises:
        WeightsError: there is no such file, or it is none of these.
    """
    model = read_upscaler(path).to(device=device, dtype=dtype)
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def enlarge(pixels: Tensor) -> Tensor:
        enlarged: Tensor = model(pixels.contiguous(memory_format=torch.channels_last))
        return enlarged

    return LoadedUpscaler(enlarge=enlarge, scale=SCALE, tiles=TileSize(reach=model.config.reach))


def read_upscaler(path: Path) -> Upscaler:
    """Return an upscaler of ours from its file, in float32."""
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name).float() for name in opened.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read {path}: {error}; expected a whole safetensors file") from error
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
