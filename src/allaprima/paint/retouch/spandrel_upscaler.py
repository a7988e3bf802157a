"""Upscalers that people have: ESRGAN and its family, DAT, SwinIR and others, read by the library spandrel.

spandrel knows an architecture by the names and shapes of its weights. It is an optional extra, for it brings
torchvision along.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from allaprima.core.errors import WeightsError
from allaprima.paint.retouch.loaded_upscaler import LoadedUpscaler
from allaprima.paint.retouch.tiles import TileSize

if TYPE_CHECKING:
    from types import ModuleType

TILES = TileSize(side=192, reach=16, fade=16)
"""Networks with attention see further than any reach, so neighbouring tiles fade into each other."""


def build_spandrel_upscaler(
    path: Path, tensors: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype
) -> LoadedUpscaler:
    """Return the upscaler that the weights in the file at `path` are.

    Raises:
        WeightsError: spandrel is not installed, does not know them, or they do something else than enlarge.
    """
    spandrel = _import_spandrel(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of how its networks are built, which is not the user's affair
            model = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(tensors))
    except spandrel.UnsupportedModelError as error:
        raise WeightsError(
            f"{path} holds no upscaler that spandrel knows; expected ESRGAN, DAT, SwinIR or the like"
        ) from error
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0][:150]
        raise WeightsError(f"{path} cannot be loaded: {reason}; expected a whole upscaler") from error
    _check(path, model, spandrel)
    narrow = dtype == torch.bfloat16 and model.supports_bfloat16
    model = model.to(device, torch.bfloat16 if narrow else torch.float32)

    def enlarge(pixels: Tensor) -> Tensor:
        enlarged: Tensor = model(pixels.to(model.dtype))
        return enlarged.float()

    return LoadedUpscaler(enlarge=enlarge, scale=model.scale, tiles=TILES)


def _check(path: Path, model: Any, spandrel: ModuleType) -> None:
    """Refuse a network that does something else than enlarge pictures."""
    if not isinstance(model, spandrel.ImageModelDescriptor) or model.scale < 2:
        does = f"a {model.architecture.name} of scale {getattr(model, 'scale', 1)}"
        raise WeightsError(f"{path} is {does}; expected a network that enlarges pictures")
    if (model.input_channels, model.output_channels) != (3, 3):
        got = f"{model.input_channels} channels in and {model.output_channels} out"
        raise WeightsError(f"{path} has {got}; expected a network for colour pictures, 3 and 3")


def _import_spandrel(path: Path) -> ModuleType:
    try:
        import spandrel
    except ImportError as error:
        raise WeightsError(
            f"{path} is another program's upscaler, and spandrel, which reads those, cannot be imported "
            f"({error}); expected it to be installed: pip install 'allaprima[upscalers]'"
        ) from error
    except RuntimeError as error:  # torchvision made for another torch
        raise WeightsError(
            f"spandrel, which reads {path}, cannot be imported: {str(error).splitlines()[0][:150]}; "
            "expected a torchvision made for this torch"
        ) from error
    module: ModuleType = spandrel
    return module
