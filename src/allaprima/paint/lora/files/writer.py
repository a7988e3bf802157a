"""Writing a LoRA, in the layout of diffusers or of kohya's scripts, so that other programs can load it too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from torch import Tensor, nn

from allaprima.core.errors import LoraError
from allaprima.core.files import write_whole
from allaprima.paint.lora.files.algebra import scaled
from allaprima.paint.lora.files.layer_names import ldm_names
from allaprima.paint.lora.files.layers import Layers
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.metadata import stored_metadata
from allaprima.paint.lora.update import Decomposed, Dense, LowRank

KeyLayout = Literal["diffusers", "kohya"]

_KOHYA_BEGINNINGS = {
    "transformer": "lora_unet", "unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2",
}  # fmt: skip


def write_lora(
    path: Path | str,
    lora: Lora,
    layout: KeyLayout = "diffusers",
    *,
    dtype: torch.dtype | None = None,
    base_modules: Mapping[str, nn.Module] | Layers | None = None,
) -> Path:
    """Write `lora` at `path`, whole or not at all, over what was there, and return the path.

    alpha / rank is multiplied into the tensors, so that loaders which forget the alpha are right too.

    Args:
        dtype: to store; by default each tensor's own.
        base_modules: `Base.modules()`; kohya's own scripts name the layers of SDXL by how its U-Net is built, and
            without it those get diffusers' names, which ComfyUI reads.

    Raises:
        LoraError: the layout has no name for something in it.
        OutputError: the file cannot be written.
    """
    if lora.vectors or any(isinstance(update, Decomposed) for update in lora.updates.values()):
        raise LoraError(
            f"{lora.name} holds a DoRA, or changes biases or norms; expected matrices alone to write"
        )
    tensors: dict[str, Tensor] = {}
    layers = Layers(base_modules) if isinstance(base_modules, Mapping) else base_modules
    named = _diffusers(lora) if layout == "diffusers" else _kohya(lora, layers)
    for key, tensor in named:
        if key in tensors:
            raise LoraError(f"two layers of {lora.name} are {key} in the layout {layout}; expected diffusers")
        # A tensor read from a file is a view of the whole file.
        tensors[key] = tensor.detach().to("cpu", dtype or tensor.dtype).contiguous().clone()
    ranks = {key: update.rank for key, update in lora.updates.items() if isinstance(update, LowRank)}
    stored = stored_metadata(lora.metadata, title=lora.name, ranks=ranks)
    return write_whole(Path(path), safetensors.torch.save(tensors, stored), overwrite=True)


def _diffusers(lora: Lora) -> Iterator[tuple[str, Tensor]]:
    for key, update in lora.updates.items():
        if not isinstance(update, LowRank):
            raise LoraError(
                f"{lora.name} changes {key} by a whole matrix, for which diffusers has no name; expected layout kohya"
            )
        network, path = _named(key)
        yield f"{network}.{path}.lora_A.weight", update.down
        yield f"{network}.{path}.lora_B.weight", scaled(update.up, update.scale)


def _kohya(lora: Lora, layers: Layers | None) -> Iterator[tuple[str, Tensor]]:
    unet = [key.removeprefix("unet.") for key in layers.by_key if key.startswith("unet.")] if layers else []
    # kohya's scripts train SDXL on the U-Net of Stability's own code, and older bases on diffusers'.
    renamed = ldm_names(unet) if "add_embedding.linear_1" in unet else {}
    for key, update in lora.updates.items():
        network, path = _named(key)
        if network not in _KOHYA_BEGINNINGS:
            raise LoraError(f"{lora.name} changes {key}; expected one of {', '.join(_KOHYA_BEGINNINGS)}")
        path = renamed.get(path, path) if network == "unet" else path
        name = f"{_KOHYA_BEGINNINGS[network]}_{path.replace('.', '_')}"
        if isinstance(update, LowRank):
            yield f"{name}.lora_down.weight", update.down
            yield f"{name}.lora_up.weight", (up := scaled(update.up, update.scale))
            yield f"{name}.alpha", torch.tensor(float(update.rank), dtype=up.dtype)
        elif isinstance(update, Dense):
            yield f"{name}.diff", update.delta


def _named(key: str) -> tuple[str, str]:
    """Return network and path as files have them: with the `text_model` that transformers 5 leaves out."""
    network, _, path = key.partition(".")
    return network, f"text_model.{path}" if path.startswith("encoder.layers.") else path
