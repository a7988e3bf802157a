"""Registered LoRAs, checked against the networks once and prepared for the rack.

Preparing brings matrices to the device and the number format of their layers and pads their ranks. What is prepared
is cached, because a swap has no time for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import torch
from torch import nn

from allaprima.core.errors import LoraError
from allaprima.core.lru import LruCache
from allaprima.paint.lora.pages import Blocks
from allaprima.paint.lora.runtime.composition import Composition, SlotPlan, compose, plan_slots
from allaprima.paint.lora.runtime.side_path import AdaptedLayer, prepare, weight_kind
from allaprima.paint.lora.runtime.vectors import VectorChanges, Vectors
from allaprima.paint.lora.update import Decomposed, LowRank, Update

LoraRevision = tuple[str, int]
"""A LoRA's name and its revision, which tells LoRAs apart that were registered under one name."""

SlotShapes = tuple[tuple[tuple[str, int, torch.dtype], ...], ...]
"""What a plan depends on: of each LoRA its layers, their `_rank_in_plan` and what they compute in."""

MAX_PLANS = 16
"""Plans that are cached; one of 560 layers takes 200 kB."""


class LoraUpdates(Protocol):
    """What the rack needs to know of a LoRA; `allaprima.paint.lora.files.lora.Lora` is one."""

    @property
    def name(self) -> str:
        """The name it is attached by."""

    @property
    def updates(self) -> Mapping[str, Update]:
        """The updates by layer (network, dot, path)."""

    @property
    def vectors(self) -> VectorChanges:
        """The changes of biases and of norms' weights by parameter."""


class PreparedLoras:
    """Registered LoRAs."""

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        *,
        device: torch.device | None,
        cache_bytes: int,
        own_storage: bool | None,
    ) -> None:
        self.layers: dict[str, AdaptedLayer] = dict(_find_layers(modules))
        self.vectors = Vectors(modules)
        here = next((layer.weight.device for layer in self.layers.values()), torch.device("cpu"))
        self.device = here if device is None else device
        self.own_storage = self.device.type == "cuda" if own_storage is None else own_storage
        self._blocks = Blocks(self.device)
        self._registered: dict[str, tuple[LoraRevision, LoraUpdates]] = {}
        self._revision = 0
        self._compositions = LruCache[tuple[LoraRevision, ...], Composition](
            max_bytes=cache_bytes, size_of=lambda composition: composition.storage.nbytes
        )
        self._plans = LruCache[SlotShapes, SlotPlan](max_count=MAX_PLANS)

    @property
    def names(self) -> tuple[str, ...]:
        """The registered names, in alphabetical order."""
        return tuple(sorted(self._registered))

    @property
    def num_bytes(self) -> int:
        """What prepared LoRAs take in memory."""
        return self._compositions.num_bytes + self._blocks.num_bytes

    def get_revision(self, name: str) -> LoraRevision:
        """Return the revision of the registered LoRA `name`."""
        if name not in self._registered:
            known = ", ".join(self.names[:8]) or "none yet"
            raise LoraError(f"got LoRA {name[:80]!r}; expected one that is registered: {known}")
        return self._registered[name][0]

    def touches(self, name: str, network: str) -> bool:
        """Return whether the registered LoRA `name` changes a layer of `network`."""
        lora = self._registered[name][1]
        return any(key.startswith(f"{network}.") for key in (*lora.updates, *lora.vectors))

    def register(self, lora: LoraUpdates) -> None:
        """Check and prepare `lora`; it replaces a LoRA of its name."""
        if not lora.updates and not lora.vectors:
            raise LoraError(f"{lora.name} changes nothing; expected a LoRA that fits the loaded base")
        for key, update in lora.updates.items():
            self._check(lora.name, key, update)
        self.vectors.check(lora.name, lora.vectors)
        self._revision += 1
        revision, composition = (lora.name, self._revision), self._compose([lora])
        self._registered[lora.name] = (revision, lora)
        self._drop_stale()
        self._compositions.put((revision,), composition)

    def find(self, name: str) -> tuple[LoraRevision, LoraUpdates] | None:
        """Return what is registered as `name`, for `restore`."""
        return self._registered.get(name)

    def restore(self, name: str, registered: tuple[LoraRevision, LoraUpdates] | None) -> None:
        """Let `name` stand for what `find` returned before; None: for nothing."""
        if registered is None:
            self._registered.pop(name, None)
        else:
            self._registered[name] = registered
        self._drop_stale()

    def composition(self, names: tuple[str, ...]) -> Composition:
        """Return the side paths of the LoRAs `names`, in this order, prepared now unless they are cached."""
        key = tuple(self.get_revision(name) for name in names)
        return self._compositions.get_or_make(
            key, lambda: self._compose([self._registered[name][1] for name in names])
        )

    def changes(self, name: str) -> VectorChanges:
        """Return the changes of vectors by the registered LoRA `name`."""
        return self._registered[name][1].vectors

    def make_ready(self) -> None:
        """Use idle time to have memory ready for the next LoRA."""
        self._blocks.make_ready()

    def _compose(self, loras: list[LoraUpdates]) -> Composition:
        updates = [lora.updates for lora in loras]
        plan = self._plan(updates)
        composition = compose(plan, updates, self.layers, self._blocks, own_storage=self.own_storage)
        for layer, _ in composition.sides:
            prepare(layer)
        return composition

    def _plan(self, updates: list[Mapping[str, Update]]) -> SlotPlan:
        """Return `plan_slots`, cached for LoRAs of the same layers and ranks."""
        shapes = tuple(
            tuple(
                [
                    (key, _rank_in_plan(update), weight_kind(self.layers[key])[1])
                    for key, update in lora.items()
                ]
            )
            for lora in updates
        )
        return self._plans.get_or_make(shapes, lambda: plan_slots(updates, self.layers))

    def _drop_stale(self) -> None:
        revisions = {revision for revision, _ in self._registered.values()}
        for key in list(self._compositions):
            if not revisions.issuperset(key):
                self._compositions.discard(key)

    def _check(self, name: str, key: str, update: Update) -> None:
        layer = self.layers.get(key)
        if layer is None:
            raise LoraError(
                f"{name} changes {key[:120]}, which the loaded base does not have; was it made for another?"
            )
        expected, _ = weight_kind(layer)
        if update.shape != expected:
            raise LoraError(
                f"{name} changes {key} by {update.shape}; expected {expected}, its weight's shape"
            )
        if isinstance(update, LowRank) and isinstance(layer, nn.Conv2d) and layer.groups != 1:
            raise LoraError(
                f"{name} changes {key}, a convolution of {layer.groups} groups, by two matrices; "
                "expected a dense change there"
            )


def _rank_in_plan(update: Update) -> int:
    """Return the rank, 0 of a dense update, and -1 of one that depends on the layer's weight."""
    return update.rank if isinstance(update, LowRank) else -isinstance(update, Decomposed)


def _find_layers(modules: Mapping[str, nn.Module]) -> Iterator[tuple[str, AdaptedLayer]]:
    for name, network in modules.items():
        # torch.compile wraps a whole network in a module of one child.
        inner: nn.Module = getattr(network, "_orig_mod", network)
        for path, module in inner.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d) and isinstance(module.weight, nn.Parameter):
                yield f"{name}.{path}", module
