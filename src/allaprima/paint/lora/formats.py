"""LoRA files of every common dialect, read into one form and written again.

    lora = read_lora(Path("style.safetensors"), base.modules())
    write_lora(Path("style-kohya.safetensors"), lora, layout="kohya")

What the dialects are stands in the tables of `dialects.py` and `layers.py`; what is refused, in `weight_file.py` and
`checks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from allaprima.core.errors import LoraError
from allaprima.paint.lora.adapter_config import read_configs
from allaprima.paint.lora.checks import About, build_update, likeness, parse_keys, sort_keys
from allaprima.paint.lora.layers import Layers
from allaprima.paint.lora.lora import Lora
from allaprima.paint.lora.metadata import LoraMetadata, read_metadata
from allaprima.paint.lora.places import title_of, weights_at
from allaprima.paint.lora.update import Dense, LowRank, Update
from allaprima.paint.lora.weight_file import read_weight_file
from allaprima.paint.lora.writing import Layout, write_lora

__all__ = ["Dense", "Layout", "Lora", "LoraMetadata", "LowRank", "Update", "read_lora", "write_lora"]


def read_lora(
    path: Path | str,
    base_modules: Mapping[str, nn.Module] | Layers,
    *,
    name: str | None = None,
    family: str | None = None,
) -> Lora:
    """Return the LoRA at `path`, checked against the base it is to change. No module is touched.

    Args:
        path: of a .safetensors file, or of a folder that holds one beside an `adapter_config.json`.
        base_modules: `Base.modules()`, or its `Layers` where many files are read for one base.
        name: what to call it; by default the file's name without ending.
        family: `Base.family`; without it the base is told by its layers.

    Raises:
        LoraError: the file cannot be read or trusted, holds what cannot be used, or was made for another base.
    """
    place = weights_at(Path(path))
    layers = base_modules if isinstance(base_modules, Layers) else Layers(base_modules)
    file = read_weight_file(place)
    entries = file.header.entries
    if not entries:
        raise LoraError(f"{place} holds no tensor; expected a LoRA")
    metadata = read_metadata(file.header.metadata)
    names = parse_keys(place, entries)
    shapes = {key: entry.shape for key, entry in entries.items()}
    about = About(path=place, file=likeness(names, shapes, metadata.family), base=layers.likeness(family))
    found = sort_keys(names, layers, about)
    configs = read_configs(place, file.header.metadata, layers.networks)
    updates = {}
    for key, roles in found.keys.items():
        config = configs[key.partition(".")[0]]
        updates[key] = build_update(roles, file, layers.by_key[key], config, about)
    return Lora(
        name=name or title_of(place),
        updates=updates,
        metadata=metadata,
        path=place,
        digest=file.digest,
        unmatched=found.unmatched,
    )
