"""The keys of a file by the layers of the base that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.dialects import DENOISERS, KeyName
from allaprima.paint.lora.files.families import Architecture, differ
from allaprima.paint.lora.files.keys import name_some, shown
from allaprima.paint.lora.files.layers import Layer, Layers


@dataclass(frozen=True, kw_only=True)
class FileAndBase:
    """A file and the loaded base, for messages."""

    path: Path
    file: Architecture
    """The base that the file looks made for."""
    base: Architecture
    """The base that is loaded."""

    def __str__(self) -> str:
        """Return the end of a message, which names both."""
        return f"the file looks made for {self.file}, the base here is {self.base}"


@dataclass(frozen=True, kw_only=True)
class LayerKeys:
    """The keys of a file, each with the layer it belongs to."""

    by_layer: dict[str, dict[str, str]]
    """For each layer's key, the file's key of each role."""
    unmatched: tuple[str, ...]
    """The file's keys that match no layer."""


def match_keys(names: Mapping[str, KeyName | None], layers: Layers, about: FileAndBase) -> LayerKeys:
    """Return each key of a file with the layer it belongs to."""
    if differ(about.file, about.base):
        raise LoraError(
            f"{about.path} is a LoRA for {about.file}; the base here is {about.base}, expected a LoRA for that"
        )
    by_layer: dict[str, dict[str, str]] = {}
    unmatched = []
    layer_of: dict[tuple[str, ...], Layer | None] = {}
    for key, name in names.items():
        layer = None
        if name is not None:
            stem = (*name.networks, name.layer)
            layer = layer_of[stem] if stem in layer_of else layer_of.setdefault(stem, layers.find(name))
        if name is None or layer is None:
            unmatched.append(key)
            continue
        roles = by_layer.setdefault(layer.key, {})
        if name.role in roles:
            raise LoraError(
                f"{about.path}: {shown(key)} and {shown(roles[name.role])} are one tensor; expected it once"
            )
        roles[name.role] = key
    _check_denoiser(names, by_layer, unmatched, layers, about)
    return LayerKeys(by_layer=by_layer, unmatched=tuple(unmatched))


def _check_denoiser(
    names: Mapping[str, KeyName | None],
    by_layer: Mapping[str, object],
    unmatched: list[str],
    layers: Layers,
    about: FileAndBase,
) -> None:
    """Refuse a file of which nothing matches, or nothing of what it holds for a denoiser."""
    matched = {layer.partition(".")[0] for layer in by_layer}
    denoisers = set(layers.networks) & set(DENOISERS)
    holds_denoiser = any(name and set(name.networks) <= set(DENOISERS) for name in names.values())
    if not by_layer or (holds_denoiser and denoisers and not matched & denoisers):
        part = "of its tensors for the denoiser" if by_layer else f"of its {len(names)} tensors"
        raise LoraError(
            f"{about.path}: none {part} belongs to a layer of the base ({name_some(unmatched)}); {about}"
        )
