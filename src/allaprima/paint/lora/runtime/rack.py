"""The rack: several LoRAs on a base's networks at once, each with its weight, and off again.

    rack = Rack(base.modules())
    rack.register(lora)                    # checked against the networks; nothing changes yet
    rack.set_adapters({"ink": 0.8})        # the next picture has it
    rack.merge()                           # when idle: the side path's cost goes away
    rack.set_adapters({})                  # the weights of before, bit for bit

Swapping has two phases. `set_adapters` points each touched layer's side path at the LoRA's matrices, which costs
microseconds a layer. `merge` then computes weights with the LoRAs inside and exchanges them for the pristine ones.
An operation that fails leaves everything as it was.

A picture depends on which LoRAs are attached and how strongly, not on the order in which they came. Merged and
unmerged answers differ by rounding. Not for several threads at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, TypeVar, cast

import torch
from torch import nn

from allaprima.core.errors import LoraError
from allaprima.core.lru import LruCache
from allaprima.paint.lora.runtime.composition import Composition, SlotPlan, empty_like
from allaprima.paint.lora.runtime.merge import MergedWeights, can_merge
from allaprima.paint.lora.runtime.prepared_loras import LoraRevision, LoraUpdates, PreparedLoras
from allaprima.paint.lora.runtime.side_path import point

CACHE_BYTES = 2 * 2**30
KEPT_MERGE_BYTES = 256 * 2**20
"""A merge that takes no more is kept beside the next one."""

RackState = tuple[tuple[LoraRevision, float], ...]
"""Which LoRAs count and how often, in the order of their names."""

RackMethod = TypeVar("RackMethod", bound=Callable[..., Any])


def _plain_tensors(method: RackMethod) -> RackMethod:
    """Run a method so that its tensors outlive the caller's inference mode and carry no gradients."""

    @wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.inference_mode(mode=False), torch.no_grad():
            return method(*args, **kwargs)

    return cast(RackMethod, run)


class Rack:
    """The LoRAs of one base's networks.

    Args:
        device: where the networks compute; None for where their weights are. To be given under offloading.
        keep_addresses: write new numbers to where the old ones were, rather than pointing elsewhere; for CUDA
            graphs. None does so on CUDA devices, where copies are cheap.
        cache_bytes: how much memory prepared LoRAs may take, beside those attached; the least recently attached
            give way and are prepared again when needed.
        max_merge_bytes: how much memory a second copy of the touched weights may take; beyond it nothing is merged.
        keeps_merges: keep a small network's previous merge beside the new one, where pointers are exchanged.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        *,
        device: torch.device | None = None,
        keep_addresses: bool | None = None,
        cache_bytes: int = CACHE_BYTES,
        max_merge_bytes: int | None = None,
        keeps_merges: bool = True,
    ) -> None:
        self._networks = dict(modules)
        self._prepared = PreparedLoras(
            modules, device=device, cache_bytes=cache_bytes, own_storage=keep_addresses
        )
        self._keep_addresses = self._prepared.own_storage
        self._stages = LruCache[SlotPlan, Composition](
            max_bytes=cache_bytes, size_of=lambda stage: stage.storage.nbytes
        )
        """By plan, the composition whose addresses LoRAs of this shape are copied to."""
        self._max_merge_bytes = max_merge_bytes
        keeps = keeps_merges and not self._keep_addresses
        self._merged = MergedWeights(self._keep_addresses, kept_bytes=KEPT_MERGE_BYTES if keeps else 0)
        self._attached: dict[str, float] = {}
        self._state: RackState = ()
        self._current: Composition | None = None

    @property
    def registered(self) -> tuple[str, ...]:
        """The registered names, in alphabetical order."""
        return self._prepared.names

    @property
    def attached(self) -> Mapping[str, float]:
        """The weight of each attached LoRA by name, in alphabetical order."""
        return dict(sorted(self._attached.items()))

    @property
    def merged(self) -> bool:
        """Whether the layers compute with merged weights, that is, at no extra cost."""
        return self._merged.shown

    @property
    def num_bytes(self) -> int:
        """What prepared LoRAs and second copies of weights take in memory."""
        return self._prepared.num_bytes + self._stages.num_bytes + self._merged.num_bytes

    def state(self, network: str | None = None) -> RackState:
        """Return what is attached that touches `network` (None: any), to key what depends on it.

        Embeddings of prompts hold as long as the state of the text encoder is the same, for example. A LoRA that
        has been registered anew makes another state.
        """
        return tuple(
            (revision, weight)
            for revision, weight in self._state
            if network is None or self._prepared.touches(revision[0], network)
        )

    @_plain_tensors
    def register(self, lora: LoraUpdates) -> None:
        """Check `lora` against the networks and prepare it; it replaces a LoRA of its name.

        Raises:
            LoraError: a layer is not there, has another shape, or cannot be changed. Nothing has changed then.
        """
        before = self._prepared.find(lora.name)
        self._prepared.register(lora)
        if before is not None:
            self._merged.drop_previous()
        if lora.name not in self._attached:
            return
        try:
            self._attach(self._attached)
        except BaseException:
            self._prepared.restore(lora.name, before)
            raise

    @_plain_tensors
    def forget(self, name: str) -> None:
        """Drop a registered LoRA."""
        self._prepared.get_revision(name)
        if name in self._attached:
            raise LoraError(f"{name} is attached; detach it before it is forgotten")
        self._prepared.restore(name, None)
        self._merged.drop_previous()

    @_plain_tensors
    def set_adapters(self, weights: Mapping[str, float]) -> None:
        """Attach exactly the LoRAs of `weights`, by name; what is the same as before stays, merged if it was.

        What was merged just before is shown again at once, where that merge was kept.

        Args:
            weights: how often each LoRA counts; 0 is as if it were not there, bit for bit.

        Raises:
            LoraError: a name is not registered, or a weight is not finite. Nothing has changed then.
        """
        for name, weight in weights.items():
            self._prepared.get_revision(name)
            if not math.isfinite(weight):
                raise LoraError(f"got weight {weight} for {name}; expected a finite number")
        self._attach(weights)

    @_plain_tensors
    def merge(self, budget_s: float | None = None) -> bool:
        """Merge what is attached into the weights; return whether nothing is left to do.

        Call it when nothing is being painted. It stops after the layer that uses up the budget and goes on from
        there the next time; until all layers are done, none has changed. With nothing attached it gives the
        memory of earlier merges back. It also keeps memory ready for the next LoRA to be registered.

        Args:
            budget_s: how long it may take, overrun by at most one layer; None for as long as it takes.

        Returns:
            False if there is more to do, or if merging is not possible: over `max_merge_bytes`, or where weights are
            quantised, shared between layers or moved by an offloading library. Then the side path stays.
        """
        self._prepared.make_ready()
        if self._current is None:
            self._merged.clear()
            return True
        if self._merged.shown:
            return True
        if not can_merge(self._current, self._networks.values(), self._max_merge_bytes):
            return False
        deadline = math.inf if budget_s is None else time.perf_counter() + budget_s
        return self._merge(self._current, deadline)

    @_plain_tensors
    def unmerge(self) -> None:
        """Go back to side paths and give the second copies of weights back."""
        if self._current is not None:
            self._show_sides(self._current)
        self._merged.clear()

    def _attach(self, weights: Mapping[str, float]) -> None:
        # Sorted: the order of the ranks is the order of a sum, and must not depend on who came first.
        acting = sorted(name for name, weight in weights.items() if weight != 0.0)
        state = tuple((self._prepared.get_revision(name), float(weights[name])) for name in acting)
        attached = {name: float(weight) for name, weight in weights.items()}
        if state == self._state:
            self._attached = attached
            return
        source = self._prepared.composition(tuple(acting)) if acting else None
        vectors = [(self._prepared.changes(name), float(weights[name])) for name in acting]
        self._check_within_reach(acting, source)
        target = source
        if source is not None and self._keep_addresses:
            # The newest stage, which is the one in use, is never dropped.
            target = self._stages.get_or_make(source.plan, partial(empty_like, source))
        # All that can fail for a user's reasons has happened. What follows is assignments.
        self._merged.hide()
        if source is not None and target is not None:
            if source is not target:
                target.load(source)
            target.set_weights([weight for _, weight in state])
            if source.decomposed:
                target.decompose(source.decomposed, [weight for _, weight in state])
        self._point_at(target)
        self._prepared.vectors.show(vectors)
        self._state, self._attached = state, attached
        if target is not None and self._merged.has(state, target):
            self._merge(target, math.inf)

    def _check_within_reach(self, names: list[str], source: Composition | None) -> None:
        """Refuse what depends on weights that are not here, or that come and go within a call."""
        for name in names:
            self._prepared.vectors.check(name, self._prepared.changes(name))
        if source is None or not source.decomposed:
            return
        for slot, (layer, _) in zip(source.plan, source.sides, strict=True):
            if slot.decomposed and layer.weight.is_meta:
                raise LoraError(
                    f"{names[slot.decomposed[0]]} is a DoRA, which depends on the base's weights, and these are read "
                    "anew for every picture under this memory limit; expected a LoRA without, or more memory"
                )

    def _merge(self, current: Composition, deadline: float) -> bool:
        weights = [weight for _, weight in self._state]
        if not self._merged.work(self._state, current, weights, deadline):
            return False
        with self._undone_on_failure():
            self._merged.show(current)
            for layer, _ in current.sides:
                point(layer, None)
        return True

    def _point_at(self, target: Composition | None) -> None:
        staying = {id(layer) for layer, _ in target.sides} if target is not None else set()
        for layer, _ in self._current.sides if self._current is not None else ():
            if id(layer) not in staying:
                point(layer, None)
        if target is not None:
            self._show_sides(target)
        self._current = target

    @staticmethod
    def _show_sides(composition: Composition) -> None:
        for layer, side in composition.sides:
            point(layer, side)

    @contextmanager
    def _undone_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._merged.hide()
            if self._current is not None:
                self._show_sides(self._current)
            raise
