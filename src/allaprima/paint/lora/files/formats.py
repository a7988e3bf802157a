"""LoRA files of every common dialect, read into one form and written again.

    lora = read_lora(Path("style.safetensors"), base.modules())
    write_lora(Path("style-kohya.safetensors"), lora, layout="kohya")

What the dialects are stands in the tables of `dialects.py` and `layers.py`; what is refused, in `header.py`,
`weight_file.py` and `checks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from allaprima.paint.lora.files.layers import Layers
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.files.reader import LoraReader
from allaprima.paint.lora.files.writer import KeyLayout, write_lora
from allaprima.paint.lora.update import Dense, LowRank, Update

__all__ = [
    "Dense",
    "KeyLayout",
    "Lora",
    "LoraMetadata",
    "LoraReader",
    "LowRank",
    "Update",
    "read_lora",
    "write_lora",
]


def read_lora(
    path: Path | str,
    base_modules: Mapping[str, nn.Module] | Layers,
    *,
    name: str | None = None,
    family: str | None = None,
) -> Lora:
    """Return the LoRA at `path`, checked against the base it is to change. No module is touched.

    Whoever reads many files for one base does so with one `LoraReader`.

    Args:
        path: of a .safetensors file, or of a folder that holds one beside an `adapter_config.json`.
        base_modules: `Base.modules()`, or its `Layers`.
        name: what to call it; by default the file's name without ending.
        family: `Base.family`; without it the base is told by its layers.

    Raises:
        LoraError: the file cannot be read or trusted, holds what cannot be used, or was made for another base.
    """
    return LoraReader(base_modules, family=family).read(path, name=name)
