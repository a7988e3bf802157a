"""The reader of LoRA files of every dialect for one base.

    reader = LoraReader(base.modules(), family=base.family)
    lora = reader.read(Path("style.safetensors"))
    reader.make_ready()                               # when idle: memory for the next file

The files of one program for one base mostly announce the same tensors in the same places, and only the numbers and
the metadata differ. Which layer each tensor belongs to, and whether it fits, follows from names and shapes, so it is
worked out once for each layout. Numbers are checked in every file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from allaprima.core.errors import LoraError
from allaprima.core.lru import LruCache
from allaprima.paint.lora.files.accelerators import with_accelerator
from allaprima.paint.lora.files.adapter_config import AdapterConfig, read_configs
from allaprima.paint.lora.files.algebra import MisfitError
from allaprima.paint.lora.files.families import Architecture
from allaprima.paint.lora.files.header import MAX_LAYOUTS, LayoutCache, TensorLayout
from allaprima.paint.lora.files.keys import architecture_of, check_layers, check_lengths, parse_keys
from allaprima.paint.lora.files.layer_keys import FileAndBase, LayerKeys, match_keys
from allaprima.paint.lora.files.layers import Layers
from allaprima.paint.lora.files.locations import title_of, weights_at
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.metadata import metadata_at
from allaprima.paint.lora.files.pairs import Pair, find_pairs, updates_of
from allaprima.paint.lora.files.update_builder import build_update, build_vectors, split_fused
from allaprima.paint.lora.files.vectors import split_roles
from allaprima.paint.lora.files.weight_file import WeightFile, read_weight_file
from allaprima.paint.lora.pages import Blocks


@dataclass(frozen=True, kw_only=True)
class LayoutMatch:
    """How a layout fits a base."""

    file: Architecture
    """The base that the file looks made for."""
    keys: LayerKeys
    pairs: tuple[Pair, ...]
    others: Mapping[str, Mapping[str, str]]
    """The keys by layer of what is no pair."""
    vectors: Mapping[str, Mapping[str, str]]
    """The keys by layer of what changes its bias, or a norm."""


class LoraReader:
    """Reads LoRA files for one base.

    Args:
        base_modules: `Base.modules()`, or its `Layers`.
        family: `Base.family`; without it the family is guessed from the layers.
    """

    def __init__(self, base_modules: Mapping[str, nn.Module] | Layers, *, family: str | None = None) -> None:
        self._layers = base_modules if isinstance(base_modules, Layers) else Layers(base_modules)
        self.base = self._layers.architecture(family)
        """The base that the layers look like."""
        self._layouts = LayoutCache(max_count=MAX_LAYOUTS)
        self._matches = LruCache[tuple[TensorLayout, str | None], LayoutMatch](max_count=MAX_LAYOUTS)
        self._blocks = Blocks(torch.device("cpu"))

    def read(self, path: Path | str, *, name: str | None = None) -> Lora:
        """Return the LoRA at `path`, checked against the base it is to change. No module is touched.

        Args:
            path: of a .safetensors file, or of a folder that holds one beside an `adapter_config.json`.
            name: the LoRA's; by default the file's name without ending.

        Raises:
            LoraError: the file cannot be read or trusted, holds what cannot be used, or was made for another base.
        """
        weights = weights_at(Path(path))
        file = read_weight_file(weights, layouts=self._layouts, allocate=self._blocks.take)
        layout, metadata = file.header.layout, metadata_at(weights, file.header)
        match = self._matches.get_or_make(
            (layout, metadata.family), lambda: self._match(weights, layout, metadata.family)
        )
        configs = read_configs(weights, file.header.metadata, self._layers.networks)
        if any(config.dora for config in configs.values()):
            check_lengths(weights, parse_keys(weights, layout.entries), configs)
        updates, doubtful = updates_of(match.pairs, file, configs)
        about = FileAndBase(path=weights, file=match.file, base=self.base)
        for key, roles in {**match.others, **{key: match.keys.by_layer[key] for key in doubtful}}.items():
            config = configs[key.partition(".")[0]]
            updates[key] = build_update(roles, file, self._layers.get(key), config, about)
        split_fused(updates, self._layers, about)
        vectors: dict[str, Tensor] = {}
        for key, roles in match.vectors.items():
            scale = self._up_scale(match.keys.by_layer.get(key, {}), key, file, configs)
            vectors |= build_vectors(roles, file, self._layers.get(key), scale, about)
        return Lora(
            name=name or title_of(weights),
            updates=updates,
            vectors=vectors,
            metadata=with_accelerator(metadata, weights, match.file.family),
            path=weights,
            unmatched=(*match.keys.unmatched, *self._unmatched_patterns(configs)),
        )

    def make_ready(self) -> None:
        """Use idle time to have memory ready for a file as large as the largest so far."""
        self._blocks.make_ready()

    def _match(self, path: Path, layout: TensorLayout, family: str | None) -> LayoutMatch:
        names = parse_keys(path, layout.entries)
        check_layers(path, names, layout.entries)
        shapes = {key: entry.shape for key, entry in layout.entries.items()}
        file = architecture_of(names, shapes, family)
        keys = match_keys(names, self._layers, FileAndBase(path=path, file=file, base=self.base))
        try:
            split = {key: split_roles(roles, self._layers.get(key)) for key, roles in keys.by_layer.items()}
        except MisfitError as error:
            raise LoraError(f"{path}: {error}") from error
        keys = replace(keys, by_layer={key: matrix for key, (matrix, _) in split.items() if matrix})
        pairs = find_pairs(keys, layout, self._layers)
        return LayoutMatch(
            file=file,
            keys=keys,
            pairs=tuple(pairs.values()),
            others={key: roles for key, roles in keys.by_layer.items() if key not in pairs},
            vectors={key: vectors for key, (_, vectors) in split.items() if vectors},
        )

    def _up_scale(
        self, roles: Mapping[str, str], key: str, file: WeightFile, configs: Mapping[str, AdapterConfig]
    ) -> float:
        """Return what the second half of a layer's LoRA counts, and its bias with it."""
        if "down" not in roles:
            return 1.0
        rank = len(file.tensors[roles["down"]])
        if "alpha" in roles:
            return float(file.tensors[roles["alpha"]]) / rank
        network, _, module = key.partition(".")
        return configs[network].scale(module, rank)

    def _unmatched_patterns(self, configs: Mapping[str, AdapterConfig]) -> tuple[str, ...]:
        """Return the patterns of `configs` that match no layer of the networks that they are for."""
        unmatched: list[str] = []
        for config in {id(config): config for config in configs.values()}.values():
            if config != AdapterConfig():
                keys = (key.partition(".") for key in self._layers.by_key)
                unmatched += config.unmatched(
                    [path for network, _, path in keys if configs[network] is config]
                )
        return tuple(unmatched)


def read_lora(
    path: Path | str,
    base_modules: Mapping[str, nn.Module] | Layers,
    *,
    name: str | None = None,
    family: str | None = None,
) -> Lora:
    """Return the LoRA at `path`, as a `LoraReader` of its own reads it; to read many, keep one reader."""
    return LoraReader(base_modules, family=family).read(path, name=name)
