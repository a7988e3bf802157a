"""Merging: a second copy of the touched weights with the LoRAs inside, made while there is nothing else to do.

Merged weights are computed beside the pristine ones, layer by layer, and take their place all at once when the last
is done. So an interrupted merge has changed nothing, no picture sees a part of one, and taking a LoRA off needs no
arithmetic: the pristine weights were never written to.

By default a weight's *pointer* is exchanged, which takes microseconds. Where addresses must stay (CUDA graphs), the
*contents* are exchanged instead; the second copy then holds the pristine weights while the merged ones are shown.

Who types sees a first look with one LoRA and the picture with another, in turns. So, where pointers are exchanged and
memory is to spare, the previous merge is kept beside the new one, and is shown at once when it is wanted again.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from allaprima.paint.device.offload_hooks import has_offload_hook
from allaprima.paint.lora.pages import empty_tensor_like
from allaprima.paint.lora.runtime.composition import Composition, Slot
from allaprima.paint.lora.runtime.side_path import AdaptedLayer, SidePath
from allaprima.paint.lora.update import LowRank, merge_into
from allaprima.paint.quantization.layers import QuantizedLinear


@dataclass(eq=False)
class _Copies:
    """Second copies of weights, into which one state of the rack is merged."""

    state: Hashable = None
    weights: dict[str, Tensor] = field(default_factory=dict)
    """By key, memory for a merged weight."""
    done: set[str] = field(default_factory=set)
    """The keys whose memory holds what `state` says."""
    made_from: dict[str, int] = field(default_factory=dict)
    """By key, the address of the pristine weight that was merged into."""
    whole: bool = False
    """Whether all keys are done."""
    fresh: bool = True
    """Whether memory was written to since it was last shown."""

    def fits(self, key: str, weight: Tensor) -> bool:
        """Return whether what is done for `key` is for this pristine weight, not for one before a move or cast."""
        copy = self.weights[key]
        source = (copy.device, copy.dtype, self.made_from.get(key))
        return key in self.done and source == (weight.device, weight.dtype, weight.data_ptr())


@dataclass(eq=False)
class MergedWeights:
    """The second copies of one rack's touched weights."""

    keep_addresses: bool
    """Whether contents are exchanged rather than pointers."""
    kept_bytes: int = 0
    """The previous merge is kept beside another one if it takes no more."""
    _current: _Copies = field(default_factory=_Copies)
    _previous: _Copies | None = None
    """Those of another state, which are not being worked on."""
    _pristine: dict[str, tuple[AdaptedLayer, Tensor]] = field(default_factory=dict)
    """By key, the layers that show a merged weight and their pristine weights."""

    @property
    def shown(self) -> bool:
        """Whether layers compute with merged weights."""
        return bool(self._pristine)

    @property
    def num_bytes(self) -> int:
        """What the second copies take in memory."""
        previous = [] if self._previous is None else self._previous.weights.values()
        pristine = (weight for _, weight in self._pristine.values())
        return _num_bytes([*self._current.weights.values(), *previous, *pristine])

    def has(self, state: Hashable, composition: Composition) -> bool:
        """Return whether `state`, whose side paths are `composition`, is merged already and need only be shown.

        Pristine weights have to be in place.
        """
        for copies in () if self.keep_addresses else (self._current, self._previous):
            if copies is not None and copies.whole and copies.state == state:
                return all(
                    copies.fits(slot.key, layer.weight) and not has_offload_hook(layer)
                    for slot, (layer, _) in zip(composition.plan, composition.sides, strict=True)
                )
        return False

    def work(
        self, state: Hashable, composition: Composition, weights: Sequence[float], deadline: float
    ) -> bool:
        """Merge until `deadline`, at least one layer; return whether all are done.

        Args:
            state: what is being merged; work on another state goes on where it ended if that comes back next.
            deadline: when to stop, by `time.perf_counter`.
        """
        if state != self._current.state:
            self._turn_to(state, composition)
        for slot, (layer, side) in zip(composition.plan, composition.sides, strict=True):
            if slot.key in self._current.done and self._current.fits(slot.key, layer.weight):
                continue
            self._current.done.discard(slot.key)
            self._current.whole = False
            self._merge(slot, layer, side, weights)
            self._current.done.add(slot.key)
            if time.perf_counter() >= deadline:
                break
        self._current.whole = len(self._current.done) == len(composition.plan)
        return self._current.whole

    def show(self, composition: Composition) -> None:
        """Let every layer of `composition`, all of them done, compute with its merged weight."""
        for slot, (layer, _) in zip(composition.plan, composition.sides, strict=True):
            merged, weight = self._current.weights[slot.key], layer.weight
            if self.keep_addresses:
                # Pristine numbers are noted as such before the weight is written to: whatever interrupts this,
                # `hide` finds them.
                numbers = merged.clone()
                self._current.done.discard(slot.key)
                self._current.whole = False
                merged.copy_(weight)
                self._pristine[slot.key] = (layer, self._current.weights.pop(slot.key))
                weight.data.copy_(numbers)
            else:
                self._pristine[slot.key] = (layer, weight.data)
                weight.data = merged
        # A weight that points at another place has another address. If the same place has new contents, torch has to
        # be told.
        if self._current.fresh or self.keep_addresses:
            increment_version([layer.weight for layer, _ in composition.sides])
            self._current.fresh = False

    def hide(self) -> None:
        """Let every layer compute with its pristine weight again, bit for bit."""
        if self.keep_addresses:
            increment_version([layer.weight for layer, _ in self._pristine.values()])
        for key, (layer, pristine) in list(self._pristine.items()):
            if self.keep_addresses:
                layer.weight.data.copy_(pristine)
                self._current.weights[key] = pristine
            else:
                # A model moved or cast meanwhile took the merged weight along.
                layer.weight.data = pristine.to(layer.weight.device, layer.weight.dtype)
            del self._pristine[key]

    def clear(self) -> None:
        """Give all second copies back."""
        self.hide()
        self._current, self._previous = _Copies(), None

    def drop_previous(self) -> None:
        """Give back the copies that are not being worked on."""
        self._previous = None

    def _turn_to(self, state: Hashable, composition: Composition) -> None:
        """Work on `state`. What was before is kept if it is small enough and no whole merge has to go for it."""
        current, previous = self._current, self._previous
        returns = previous is not None and previous.state == state
        small = bool(current.weights) and _num_bytes(current.weights.values()) <= self.kept_bytes
        keeps = small and (returns or current.whole or previous is None or not previous.whole)
        # An interrupt must not find one as both: the assignment is one.
        if previous is not None and returns:
            self._current, self._previous = previous, current if keeps else None
            return
        spare = (previous or _Copies()) if keeps else current
        memory = {slot.key: spare.weights[slot.key] for slot in composition.plan if slot.key in spare.weights}
        self._current, self._previous = _Copies(state=state, weights=memory), current if keeps else previous

    def _merge(self, slot: Slot, layer: AdaptedLayer, side: SidePath, weights: Sequence[float]) -> None:
        weight, copies = layer.weight.detach(), self._current.weights
        copy = copies.get(slot.key)
        if copy is None or (copy.device, copy.dtype) != (weight.device, weight.dtype):
            copies[slot.key] = empty_tensor_like(weight)
        self._current.made_from[slot.key] = weight.data_ptr()
        self._current.fresh = True
        stack = LowRank(down=side.down, up=side.up) if side.down is not None and side.up is not None else None
        scale = side.scale.vector if side.scale is not None and not side.scale.plain else None
        changes = [
            delta.float() * (1.0 if i in slot.decomposed else weights[i])
            for i, (delta, _) in zip(slot.dense, side.dense, strict=True)
        ]
        dense = torch.stack(changes).sum(0) if len(changes) > 1 else changes[0] if changes else None
        merge_into(weight, stack, scale, dense, out=copies[slot.key])


def _num_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def can_merge(composition: Composition, networks: Iterable[nn.Module], max_bytes: int | None) -> bool:
    """Return whether the weights that `composition` touches can be exchanged unnoticed.

    They cannot where two layers share one, where an offloading library moves them and would bring the pristine ones
    back, or where they are quantised, since rounding them anew would cost more than the LoRA brings. They are not
    to be where a second copy takes more than `max_bytes`.
    """
    if any(isinstance(layer, QuantizedLinear) for layer, _ in composition.sides):
        return False
    weights = [layer.weight for layer, _ in composition.sides]
    too_large = max_bytes is not None and sum(weight.nbytes for weight in weights) > max_bytes
    if too_large or any(weight.is_meta for weight in weights):
        return False
    uses: dict[int, int] = {}
    for network in networks:
        for module in network.modules():
            if has_offload_hook(module):
                return False
            for parameter in module.parameters(recurse=False):
                uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    return all(uses[id(weight)] == 1 for weight in weights)
