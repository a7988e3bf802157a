"""The rack: LoRAs hang on a base's networks and come off again, several at once, each with its weight.

    rack = Rack(base.modules())
    rack.register(lora)                    # checked against the networks; nothing changes yet
    handle = rack.attach("ink", 0.8)       # the next picture has it
    rack.fold()                            # when idle: the side path's cost goes away
    handle.detach()                        # the weights of before, bit for bit

Swapping is in two phases. `attach` points each touched layer's side path at the LoRA's matrices, which costs
microseconds a layer. `fold` then computes weights with the LoRAs inside and exchanges them for the pristine ones.
An operation that fails leaves everything as it was.

What a picture looks like depends on which LoRAs are attached and how strongly, not on the order in which they
came. Folded and unfolded answers differ by rounding. Not for several threads at once.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import nn

from allaprima.core.errors import LoraError
from allaprima.paint.lora.runtime.composition import Composition, SlotPlan, empty_like
from allaprima.paint.lora.runtime.merge import MergedWeights, can_merge
from allaprima.paint.lora.runtime.prepared_loras import LoraRevision, LoraUpdates, PreparedLoras
from allaprima.paint.lora.runtime.side_path import point

RANK_STEP = 16
CACHE_BYTES = 2 * 2**30
KEPT_FOLD_BYTES = 256 * 2**20
"""A fold that takes no more is kept beside the next one."""

Content = tuple[tuple[LoraRevision, float], ...]
"""Which LoRAs count how often, in the order of their names."""

RackMethod = TypeVar("RackMethod", bound=Callable[..., Any])


def _plain_tensors(method: RackMethod) -> RackMethod:
    """Run a method so that its tensors outlive the caller's inference mode and carry no gradients."""

    @wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.inference_mode(mode=False), torch.no_grad():
            return method(*args, **kwargs)

    return cast(RackMethod, run)


@dataclass(frozen=True, kw_only=True)
class Handle:
    """An attached LoRA."""

    rack: Rack
    name: str

    def set_weight(self, weight: float) -> None:
        """Let the LoRA count `weight` times; 0 is as if it were not there, bit for bit."""
        self.rack.arrange({**self._others(), self.name: weight})

    def detach(self) -> None:
        """Take the LoRA off; with the last one the networks are what they were, bit for bit."""
        self.rack.arrange(self._others())

    def _others(self) -> dict[str, float]:
        attached = self.rack.attached
        if self.name not in attached:
            raise LoraError(
                f"{self.name} is not attached; expected a handle whose LoRA has not been detached"
            )
        return {name: weight for name, weight in attached.items() if name != self.name}


class Rack:
    """The LoRAs of one base's networks.

    Args:
        modules: networks by the name that keys begin with, as `Base.modules()` gives them.
        device: where the networks compute; None for where their weights are. To be given under offloading.
        keep_addresses: write new numbers to where the old ones were, rather than pointing elsewhere; for CUDA
            graphs. None does so on CUDA devices, where copies are cheap.
        rank_step: a layer's ranks are padded to a multiple of it. Compiled graphs are made once per padded rank,
            so with LoRAs of many ranks the largest of them is a good value.
        cache_bytes: how much memory prepared LoRAs may take, beside those attached; the least recently attached
            give way and are prepared again when needed.
        fold_bytes: how much memory a second copy of the touched weights may take; beyond it nothing is folded.
        keeps_folds: keep a small network's last fold beside the next one, where pointers are exchanged.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        *,
        device: torch.device | None = None,
        keep_addresses: bool | None = None,
        rank_step: int = RANK_STEP,
        cache_bytes: int = CACHE_BYTES,
        fold_bytes: int | None = None,
        keeps_folds: bool = True,
    ) -> None:
        self._networks = dict(modules)
        self._shelf = PreparedLoras(
            modules, device=device, rank_step=rank_step, cache_bytes=cache_bytes, own_storage=keep_addresses
        )
        self._keep_addresses = self._shelf.own_storage
        self._stage_bytes = cache_bytes
        self._stages: OrderedDict[SlotPlan, Composition] = OrderedDict()
        self._fold_bytes = fold_bytes
        keeps = keeps_folds and not self._keep_addresses
        self._folds = MergedWeights(self._keep_addresses, kept_bytes=KEPT_FOLD_BYTES if keeps else 0)
        self._attached: dict[str, float] = {}
        self._content: Content = ()
        self._current: Composition | None = None

    @property
    def registered(self) -> tuple[str, ...]:
        """The names that `attach` knows, in alphabetical order."""
        return self._shelf.names

    @property
    def attached(self) -> Mapping[str, float]:
        """Name to weight of what is attached, in alphabetical order."""
        return dict(sorted(self._attached.items()))

    @property
    def folded(self) -> bool:
        """Whether the layers compute with folded weights, that is, at no extra cost."""
        return self._folds.shown

    @property
    def num_bytes(self) -> int:
        """What prepared LoRAs and second copies of weights take in memory."""
        stages = sum(stage.num_bytes for stage in self._stages.values())
        return self._shelf.num_bytes + stages + self._folds.num_bytes

    def state(self, network: str | None = None) -> Content:
        """Return what is attached that touches `network` (None: any), to key what depends on it.

        Embeddings of prompts hold as long as the state of the text encoder is the same, for example. A LoRA that
        has been registered anew makes another state.
        """
        return tuple(
            (entry, weight)
            for entry, weight in self._content
            if network is None or self._shelf.touches(entry[0], network)
        )

    @_plain_tensors
    def register(self, lora: LoraUpdates) -> None:
        """Check `lora` against the networks and prepare it; where its name is known, it takes that one's place.

        Raises:
            LoraError: a layer is not there, has another shape, or cannot be changed. Nothing has changed then.
        """
        before = self._shelf.get(lora.name)
        self._shelf.put(lora)
        if before is not None:
            self._folds.forget_last()
        if lora.name not in self._attached:
            return
        try:
            self._arrange(self._attached)
        except BaseException:
            self._shelf.put_back(lora.name, before)
            raise

    @_plain_tensors
    def forget(self, name: str) -> None:
        """Drop a registered LoRA.

        Raises:
            LoraError: it is attached, or not registered.
        """
        self._shelf.entry(name)
        if name in self._attached:
            raise LoraError(f"{name} is attached; detach it before it is forgotten")
        self._shelf.put_back(name, None)
        self._folds.forget_last()

    def attach(self, name: str, weight: float = 1.0) -> Handle:
        """Attach the registered LoRA `name` beside those attached.

        Raises:
            LoraError: it is not registered or already attached, or the weight is not finite.
        """
        if name in self._attached:
            raise LoraError(f"{name} is already attached; set the weight of its handle instead")
        self.arrange({**self._attached, name: weight})
        return Handle(rack=self, name=name)

    @_plain_tensors
    def arrange(self, wanted: Mapping[str, float]) -> None:
        """Attach exactly `wanted`, name to weight; what is the same as before stays, folded if it was.

        What was folded just before is folded again at once, where its fold was kept.

        Raises:
            LoraError: a name is not registered, or a weight is not finite. Nothing has changed then.
        """
        for name, weight in wanted.items():
            self._shelf.entry(name)
            if not math.isfinite(weight):
                raise LoraError(f"got weight {weight} for {name}; expected a finite number")
        self._arrange(wanted)

    @_plain_tensors
    def fold(self, budget_seconds: float | None = None) -> bool:
        """Bring what is attached into the weights; return whether nothing is left to do.

        Call it when nothing is being painted. It stops after the layer that uses up the budget and goes on from
        there the next time; until all layers are done, none has changed. With nothing attached it gives the
        memory of earlier folds back. It also keeps memory ready for the next LoRA to be registered.

        Args:
            budget_seconds: how long it may take, overrun by at most one layer; None for as long as it takes.

        Returns:
            False if there is more to do, or if folding is not possible: over `fold_bytes`, or where weights are
            shared between layers or moved about by an offloading library. Then the side path stays.
        """
        self._shelf.make_ready()
        if self._current is None:
            self._folds.forget()
            return True
        if self._folds.shown:
            return True
        if not can_merge(self._current, self._networks.values(), self._fold_bytes):
            return False
        until = math.inf if budget_seconds is None else time.perf_counter() + budget_seconds
        return self._fold(self._current, until)

    @_plain_tensors
    def unfold(self) -> None:
        """Go back to side paths and give the second copies of weights back."""
        if self._current is not None:
            self._show_sides(self._current)
        self._folds.forget()

    def _arrange(self, wanted: Mapping[str, float]) -> None:
        # Sorted: the order of the ranks is the order of a sum, and must not depend on who came first.
        heard = sorted(name for name, weight in wanted.items() if weight != 0.0)
        content = tuple((self._shelf.entry(name), float(wanted[name])) for name in heard)
        attached = {name: float(weight) for name, weight in wanted.items()}
        if content == self._content:
            self._attached = attached
            return
        source = self._shelf.composition(tuple(heard)) if heard else None
        target = self._stage(source) if source is not None and self._keep_addresses else source
        # All that can fail for a user's reasons has happened. What follows is assignments.
        self._folds.hide()
        if source is not None and target is not None:
            if source is not target:
                target.load(source)
            target.set_weights([weight for _, weight in content])
        self._point_at(target)
        self._content, self._attached = content, attached
        if target is not None and self._folds.has(content, target):
            self._fold(target, math.inf)

    def _fold(self, current: Composition, until: float) -> bool:
        weights = [weight for _, weight in self._content]
        if not self._folds.work(self._content, current, weights, until):
            return False
        with self._undone_on_failure():
            self._folds.show(current)
            for layer, _ in current.sides:
                point(layer, None)
        return True

    def _point_at(self, target: Composition | None) -> None:
        kept = {id(layer) for layer, _ in target.sides} if target is not None else set()
        for layer, _ in self._current.sides if self._current is not None else ():
            if id(layer) not in kept:
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
            self._folds.hide()
            if self._current is not None:
                self._show_sides(self._current)
            raise

    def _stage(self, composition: Composition) -> Composition:
        """Return the composition whose addresses LoRAs of this shape are copied to."""
        if composition.plan not in self._stages:
            self._stages[composition.plan] = empty_like(composition)
        self._stages.move_to_end(composition.plan)
        self._shrink_stages()
        return self._stages[composition.plan]

    def _shrink_stages(self) -> None:
        # Never the last, which is the one in use.
        total = sum(stage.num_bytes for stage in self._stages.values())
        while total > self._stage_bytes and len(self._stages) > 1:
            total -= self._stages.popitem(last=False)[1].num_bytes
