"""Reading many LoRAs for one base: what one file's header came to, the next of its kind need not be asked again.

    reader = LoraReader(base.modules(), family=base.family)
    lora = reader.read(Path("style.safetensors"))
    reader.make_ready()                               # when idle: memory for the next one

The files of one program for one base mostly announce the same tensors in the same places, and only the numbers
and the metadata differ. Which layer each tensor belongs to, and whether it fits, follows from the names and shapes,
so it is worked out once for each layout. Numbers are judged in every file.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.adapter_config import AdapterConfig, read_configs
from allaprima.paint.lora.files.checks import (
    MAX_CHANGE,
    FileAndBase,
    SortedKeys,
    architecture_of,
    build_update,
    parse_keys,
    sort_keys,
)
from allaprima.paint.lora.files.families import Architecture
from allaprima.paint.lora.files.header import MAX_KNOWN, KnownLayouts, TensorLayout
from allaprima.paint.lora.files.layers import Layers
from allaprima.paint.lora.files.locations import title_of, weights_at
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.metadata import read_metadata
from allaprima.paint.lora.files.weight_file import WeightFile, read_weight_file
from allaprima.paint.lora.pages import Blocks
from allaprima.paint.lora.update import LowRank, Update


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The tensors of one layer that are used as they lie: shaped for it, two halves and perhaps an alpha.

    Attributes:
        layer: its key.
        down: the file's key of the first half.
        up: of the second.
        alpha: of the alpha, if there is one.
        rank: of the halves.
    """

    layer: str
    down: str
    up: str
    alpha: str | None
    rank: int


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a layout says to a base.

    Attributes:
        file: what it looks made for.
        found: its keys by layer.
        pairs: what is nothing but pairs.
        others: the keys by layer of what is not.
    """

    file: Architecture
    found: SortedKeys
    pairs: tuple[Pair, ...]
    others: Mapping[str, Mapping[str, str]]


class LoraReader:
    """Reads LoRA files for one base.

    Args:
        base_modules: `Base.modules()`, or its `Layers`.
        family: `Base.family`; without it the base is told by its layers.

    Attributes:
        base: which base the layers look like.
    """

    def __init__(self, base_modules: Mapping[str, nn.Module] | Layers, *, family: str | None = None) -> None:
        self._layers = base_modules if isinstance(base_modules, Layers) else Layers(base_modules)
        self.base = self._layers.architecture(family)
        self._known = KnownLayouts()
        self._meanings: OrderedDict[tuple[TensorLayout, str | None], Meaning] = OrderedDict()
        self._blocks = Blocks(torch.device("cpu"))

    def read(self, path: Path | str, *, name: str | None = None) -> Lora:
        """Return the LoRA at `path`, checked against the base it is to change. No module is touched.

        Args:
            path: of a .safetensors file, or of a folder that holds one beside an `adapter_config.json`.
            name: what to call it; by default the file's name without ending.

        Raises:
            LoraError: the file cannot be read or trusted, holds what cannot be used, or was made for another base.
        """
        place = weights_at(Path(path))
        file = read_weight_file(place, known=self._known, allocate=self._blocks.take)
        if not file.header.entries:
            raise LoraError(f"{place} holds no tensor; expected a LoRA")
        try:
            metadata = read_metadata(file.header.metadata)
        except LoraError as error:
            raise LoraError(f"{place}: {error}") from error
        meaning = self._meaning(place, file.header.layout, metadata.family)
        configs = read_configs(place, file.header.metadata, self._layers.networks)
        updates, doubtful = _take_pairs(meaning.pairs, file, configs)
        if others := {**meaning.others, **{layer: meaning.found.keys[layer] for layer in doubtful}}:
            about = FileAndBase(path=place, file=meaning.file, base=self.base)
            updates |= self._build(others, file, configs, about)
        return Lora(
            name=name or title_of(place),
            updates=updates,
            metadata=metadata,
            path=place,
            unmatched=(*meaning.found.unmatched, *self._idle_patterns(configs)),
            content=file.content,
        )

    def make_ready(self) -> None:
        """Use idle time to have memory ready for a file as large as the largest so far."""
        self._blocks.make_ready()

    def _idle_patterns(self, configs: Mapping[str, AdapterConfig]) -> tuple[str, ...]:
        """Return the patterns of `configs` that match no layer of the networks that they are for."""
        idle: list[str] = []
        for config in {id(one): one for one in configs.values()}.values():
            if config != AdapterConfig():
                keys = (key.partition(".") for key in self._layers.by_key)
                idle += config.unmatched([path for network, _, path in keys if configs[network] is config])
        return tuple(idle)

    def _meaning(self, path: Path, layout: TensorLayout, family: str | None) -> Meaning:
        meaning = self._meanings.get((layout, family))
        if meaning is None:
            names = parse_keys(path, layout.entries)
            shapes = {key: entry.shape for key, entry in layout.entries.items()}
            file = architecture_of(names, shapes, family)
            about = FileAndBase(path=path, file=file, base=self.base)
            found = sort_keys(names, self._layers, about)
            pairs = _find_pairs(found, layout, self._layers)
            others = {key: roles for key, roles in found.keys.items() if key not in pairs}
            meaning = Meaning(file=file, found=found, pairs=tuple(pairs.values()), others=others)
            self._meanings[layout, family] = meaning
            while len(self._meanings) > MAX_KNOWN:
                self._meanings.popitem(last=False)
        self._meanings.move_to_end((layout, family))
        return meaning

    def _build(
        self,
        found: Mapping[str, Mapping[str, str]],
        file: WeightFile,
        configs: Mapping[str, AdapterConfig],
        about: FileAndBase,
    ) -> dict[str, Update]:
        return {
            key: build_update(roles, file, self._layers.by_key[key], configs[key.partition(".")[0]], about)
            for key, roles in found.items()
        }


def _find_pairs(found: SortedKeys, layout: TensorLayout, layers: Layers) -> dict[str, Pair]:
    """Return by layer what of a layout is pairs, told from its shapes."""
    pairs = {}
    for key, roles in found.keys.items():
        if not {"down", "up"} <= roles.keys() <= {"down", "up", "alpha"}:
            continue
        shape, alpha = layers.by_key[key].shape, roles.get("alpha")
        down, up = (layout.entries[roles[half]].shape for half in ("down", "up"))
        fits = len(down) > 1 and down[1:] == shape[1:] and up == (shape[0], down[0], *(1 for _ in shape[2:]))
        if fits and (alpha is None or math.prod(layout.entries[alpha].shape) == 1):
            pairs[key] = Pair(layer=key, down=roles["down"], up=roles["up"], alpha=alpha, rank=down[0])
    return pairs


def _take_pairs(
    pairs: tuple[Pair, ...], file: WeightFile, configs: Mapping[str, AdapterConfig]
) -> tuple[dict[str, Update], list[str]]:
    """Return the updates that `pairs` are, and the layers whose numbers may be too large for that."""
    tensors = file.tensors
    silent = all(config == AdapterConfig() for config in configs.values())
    updates: dict[str, Update] = {}
    doubtful = []
    bound = max(1.0, file.largest) ** 2 if file.largest < MAX_CHANGE else MAX_CHANGE
    for pair in pairs:
        scale = 1.0
        if pair.alpha is not None:
            scale = float(tensors[pair.alpha]) / pair.rank
        elif not silent:
            network, _, module = pair.layer.partition(".")
            scale = configs[network].scale(module, pair.rank)
        if abs(scale) * pair.rank**2 * bound <= MAX_CHANGE:
            updates[pair.layer] = LowRank(down=tensors[pair.down], up=tensors[pair.up], scale=scale)
        else:
            doubtful.append(pair.layer)
    return updates, doubtful
