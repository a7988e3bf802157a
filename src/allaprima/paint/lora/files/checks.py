"""What is asked of a file's tensors once a base is known: that they fit its layers, all of them, and nothing else.

Each complaint is a :class:`LoraError` that names the file, the key, and where it helps both bases.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.adapter_config import AdapterConfig
from allaprima.paint.lora.files.algebra import MisfitError, update_from
from allaprima.paint.lora.files.dialects import DENOISERS, KeyName, find_refused, parse_key
from allaprima.paint.lora.files.families import Architecture, differ, look
from allaprima.paint.lora.files.layers import Layer, Layers
from allaprima.paint.lora.files.weight_file import WeightFile
from allaprima.paint.lora.update import Update

MAX_CHANGE = 1e30
"""What no update may add to a weight; those of trained files stay far below 1."""

MAX_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class FileAndBase:
    """A file and what it looks made for, beside the base that is here."""

    path: Path
    file: Architecture
    base: Architecture

    def __str__(self) -> str:
        """Name both, for the end of a message."""
        return f"the file looks made for {self.file}, the base here is {self.base}"


@dataclass(frozen=True, kw_only=True)
class SortedKeys:
    """The keys of a file, each with the layer it belongs to.

    Attributes:
        keys: for each layer's key, the file's key of each role.
        unmatched: the file's keys that no layer answers to.
    """

    keys: dict[str, dict[str, str]]
    unmatched: tuple[str, ...]


def parse_keys(path: Path, keys: Iterable[str]) -> dict[str, KeyName | None]:
    """Return each key taken apart.

    Raises:
        LoraError: one of them stands for something that cannot be left out and cannot be used.
    """
    names = {}
    for key in keys:
        if meaning := find_refused(key):
            raise LoraError(
                f"{path} holds {meaning} ({shown(key)}); expected LoRA, LoCon, LoHa or LoKr: "
                "leaving it out would paint something else, ask for the LoRA without it"
            )
        names[key] = parse_key(key)
    return names


def architecture_of(
    names: Mapping[str, KeyName | None], shapes: Mapping[str, tuple[int, ...]], declared: str | None
) -> Architecture:
    """Return which base the layers of a file look made for."""
    widths: dict[str, int] = {}
    for key, name in names.items():
        if name is not None:
            told = name.role in {"down", "hada_w1_b"} and len(shapes[key]) > 1
            widths[name.layer] = shapes[key][1] if told else widths.get(name.layer, 0)
    return look(widths.items(), declared)


def sort_keys(names: Mapping[str, KeyName | None], layers: Layers, about: FileAndBase) -> SortedKeys:
    """Find each key's layer.

    Raises:
        LoraError: the file was made for another base, nothing of it fits, or it says one thing twice.
    """
    if differ(about.file, about.base):
        raise LoraError(
            f"{about.path} is a LoRA for {about.file}; the base here is {about.base}, expected a LoRA for that"
        )
    found: dict[str, dict[str, str]] = {}
    unmatched = []
    meant_by: dict[tuple[str, ...], Layer | None] = {}
    for key, name in names.items():
        layer = None
        if name is not None:
            asked = (*name.networks, name.layer)
            layer = meant_by[asked] if asked in meant_by else meant_by.setdefault(asked, layers.find(name))
        if name is None or layer is None:
            unmatched.append(key)
            continue
        roles = found.setdefault(layer.key, {})
        if name.role in roles:
            raise LoraError(
                f"{about.path}: {shown(key)} and {shown(roles[name.role])} are one tensor; expected it once"
            )
        roles[name.role] = key
    hit = {layer.partition(".")[0] for layer in found}
    denoisers = set(layers.networks) & set(DENOISERS)
    meant = any(name and set(name.networks) <= set(DENOISERS) for name in names.values())
    if not found or (meant and denoisers and not hit & denoisers):
        part = "of its tensors for the denoiser" if found else f"of its {len(names)} tensors"
        raise LoraError(
            f"{about.path}: none {part} belongs to a layer of the base ({name_some(unmatched)}); {about}"
        )
    return SortedKeys(keys=found, unmatched=tuple(unmatched))


def build_update(
    keys: Mapping[str, str], file: WeightFile, layer: Layer, config: AdapterConfig, about: FileAndBase
) -> Update:
    """Return the update that some tensors of a file make of one layer.

    Args:
        keys: the file's key of each role.
        file: that holds them.
        layer: to be changed.
        config: what PEFT says of the layer's network.
        about: the file, for messages.

    Raises:
        LoraError: they do not make one.
    """
    where = f"{about.path}: {shown(next(iter(keys.values())))}"
    parts = {role: file.tensors[key] for role, key in keys.items() if role != "alpha"}
    alpha = None
    if "alpha" in keys:
        stored = file.tensors[keys["alpha"]]
        if stored.numel() != 1:
            raise LoraError(f"{where}: got an alpha of shape {tuple(stored.shape)}; expected one number")
        alpha = float(stored)
    module = layer.key.partition(".")[2]

    def scale_of(rank: int | None) -> float:
        # Where both factors of a LoKr are whole, the alpha that LyCORIS writes means nothing.
        own = None if alpha is None else alpha / (rank or alpha or 1.0)
        scale = config.scale(module, rank) if own is None else own
        times = abs(scale) * (rank or 1) ** 2
        # The largest of all numbers mostly tells and is at hand; each tensor's own has to be looked for.
        at_most = math.prod([max(1.0, file.largest)] * len(parts))
        if (
            not times * at_most <= MAX_CHANGE
            and not times * math.prod(file.peaks[keys[role]] for role in parts) <= MAX_CHANGE
        ):
            raise MisfitError("got numbers so large that weights would overflow; expected a trained LoRA's")
        return scale

    try:
        return update_from(parts, layer.shape, scale_of)
    except MisfitError as error:
        raise LoraError(f"{where}: {error}; {about}") from error


def name_some(keys: Iterable[str]) -> str:
    """Return the first few of `keys`, and how many more there are."""
    named = list(keys)
    more = len(named) - MAX_NAMED
    return ", ".join(map(shown, named[:MAX_NAMED])) + (f" and {more} more" if more > 0 else "")


def shown(key: str) -> str:
    """Return a stranger's word as a message may hold it: not endless, and nothing that a terminal acts on."""
    return key[:200] if key[:200].isprintable() else ascii(key[:200])
