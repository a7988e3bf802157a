"""Folding: a second copy of the touched weights with the LoRAs inside, made while there is nothing else to do.

Folded weights are computed beside the pristine ones, layer by layer, and take their place all at once when the
last is done. So an interrupted fold has changed nothing, a picture never sees half of one, and taking a LoRA off
needs no arithmetic: the pristine weights were never written to.

By default a weight's *pointer* is exchanged, which takes microseconds. Where addresses must stay (CUDA graphs),
the *contents* are exchanged instead; the second copy then holds the pristine weights while the fold is shown.

Who types sees a first look with one LoRA and the picture with another, in turns. So, where pointers are exchanged and
memory is to spare, the last fold is kept beside the new one, and is there at once when it is wanted again.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from allaprima.paint.lora.pages import empty_tensor_like
from allaprima.paint.lora.runtime.composition import Composition, Slot
from allaprima.paint.lora.runtime.side_path import AdaptedLayer, SidePath
from allaprima.paint.lora.update import LowRank, fold_into


@dataclass(eq=False)
class _Copies:
    """Second copies of weights, with one content folded in or being folded in."""

    content: Hashable = None
    weights: dict[str, Tensor] = field(default_factory=dict)
    """By key, memory for a folded weight."""
    done: set[str] = field(default_factory=set)
    """The keys whose memory holds what `content` says."""
    made_from: dict[str, int] = field(default_factory=dict)
    """By key, where the pristine weight lay that was folded into."""
    whole: bool = False
    """Whether that is all there is to do."""
    fresh: bool = True
    """Whether memory was written to since it was last shown."""

    def fits(self, key: str, weight: Tensor) -> bool:
        """Whether what is done for `key` is for this pristine weight, and not for one before a move or a cast."""
        copy = self.weights[key]
        where = (copy.device, copy.dtype, self.made_from.get(key))
        return key in self.done and where == (weight.device, weight.dtype, weight.data_ptr())


@dataclass(eq=False)
class MergedWeights:
    """The second copies of one rack's touched weights."""

    keep_addresses: bool
    """Exchange contents rather than pointers."""
    kept_bytes: int = 0
    """The last fold is kept beside another one if it takes no more."""
    _now: _Copies = field(default_factory=_Copies)
    _last: _Copies | None = None
    """Those of another content, which are not being worked on."""
    _pristine: dict[str, tuple[AdaptedLayer, Tensor]] = field(default_factory=dict)
    """By key, the layers that show a folded weight and their pristine weights."""

    @property
    def shown(self) -> bool:
        """Whether layers compute with folded weights."""
        return bool(self._pristine)

    @property
    def num_bytes(self) -> int:
        """What the second copies take in memory."""
        last = [] if self._last is None else self._last.weights.values()
        return _num_bytes(
            [*self._now.weights.values(), *last, *(weight for _, weight in self._pristine.values())]
        )

    def has(self, content: Hashable, composition: Composition) -> bool:
        """Whether `content`, whose side paths are `composition`, is folded already and need only be shown.

        Pristine weights are to be in place.
        """
        for one in () if self.keep_addresses else (self._now, self._last):
            if one is not None and one.whole and one.content == content:
                return all(
                    one.fits(slot.key, layer.weight) and not _is_moved_about(layer)
                    for slot, (layer, _) in zip(composition.plan, composition.sides, strict=True)
                )
        return False

    def work(
        self, content: Hashable, composition: Composition, weights: Sequence[float], until: float
    ) -> bool:
        """Fold until `until` (of `time.perf_counter`), at least one layer; return whether all are done.

        Args:
            content: what is being folded; of work done for others, the last is gone on with if it comes back.
            composition: the side paths to fold in.
            weights: how often each LoRA counts.
            until: when to stop.
        """
        if content != self._now.content:
            self._turn_to(content, composition)
        for slot, (layer, side) in zip(composition.plan, composition.sides, strict=True):
            if slot.key in self._now.done and self._now.fits(slot.key, layer.weight):
                continue
            self._now.done.discard(slot.key)
            self._now.whole = False
            self._fold(slot, layer, side, weights)
            self._now.done.add(slot.key)
            if time.perf_counter() >= until:
                break
        self._now.whole = len(self._now.done) == len(composition.plan)
        return self._now.whole

    def show(self, composition: Composition) -> None:
        """Let every layer of `composition`, all of them done, compute with its folded weight."""
        for slot, (layer, _) in zip(composition.plan, composition.sides, strict=True):
            folded, weight = self._now.weights[slot.key], layer.weight
            if self.keep_addresses:
                # Pristine numbers are noted down as such before the weight is written to: whatever interrupts
                # this, `hide` finds them.
                numbers = folded.clone()
                self._now.done.discard(slot.key)
                self._now.whole = False
                folded.copy_(weight)
                self._pristine[slot.key] = (layer, self._now.weights.pop(slot.key))
                weight.data.copy_(numbers)
            else:
                self._pristine[slot.key] = (layer, weight.data)
                weight.data = folded
        # A weight that points at another place has another address; that the same place has new contents it does not
        # count by itself.
        if self._now.fresh or self.keep_addresses:
            increment_version([layer.weight for layer, _ in composition.sides])
            self._now.fresh = False

    def hide(self) -> None:
        """Let every layer compute with its pristine weight again, bit for bit."""
        if self.keep_addresses:
            increment_version([layer.weight for layer, _ in self._pristine.values()])
        for key, (layer, pristine) in list(self._pristine.items()):
            if self.keep_addresses:
                layer.weight.data.copy_(pristine)
                self._now.weights[key] = pristine
            else:
                # A model moved or cast meanwhile took the folded weight along.
                layer.weight.data = pristine.to(layer.weight.device, layer.weight.dtype)
            del self._pristine[key]

    def forget(self) -> None:
        """Give the second copies back."""
        self.hide()
        self._now, self._last = _Copies(), None

    def forget_last(self) -> None:
        """Give back those that are not being worked on."""
        self._last = None

    def _turn_to(self, content: Hashable, composition: Composition) -> None:
        """Have `content` be worked on. What was before is kept if it is small enough and no whole fold has to go."""
        now, last = self._now, self._last
        returns = last is not None and last.content == content
        small = bool(now.weights) and _num_bytes(now.weights.values()) <= self.kept_bytes
        keeps = small and (returns or now.whole or last is None or not last.whole)
        # An interrupt must not find one as both: the assignment is one.
        if last is not None and returns:
            self._now, self._last = last, now if keeps else None
            return
        spare = (last or _Copies()) if keeps else now
        memory = {slot.key: spare.weights[slot.key] for slot in composition.plan if slot.key in spare.weights}
        self._now, self._last = _Copies(content=content, weights=memory), now if keeps else last

    def _fold(self, slot: Slot, layer: AdaptedLayer, side: SidePath, weights: Sequence[float]) -> None:
        weight, copies = layer.weight.detach(), self._now.weights
        copy = copies.get(slot.key)
        if copy is None or (copy.device, copy.dtype) != (weight.device, weight.dtype):
            copies[slot.key] = empty_tensor_like(weight)
        self._now.made_from[slot.key] = weight.data_ptr()
        self._now.fresh = True
        stack = LowRank(down=side.down, up=side.up) if side.down is not None and side.up is not None else None
        scale = side.scale.vector if side.scale is not None and not side.scale.plain else None
        changes = [delta.float() * weights[i] for i, (delta, _) in zip(slot.dense, side.dense, strict=True)]
        dense = torch.stack(changes).sum(0) if len(changes) > 1 else changes[0] if changes else None
        fold_into(weight, stack, scale, dense, out=copies[slot.key])


def _is_moved_about(module: nn.Module) -> bool:
    """Whether an offloading library has its hook on a module."""
    return "_hf_hook" in vars(module) or "_diffusers_hook" in vars(module)


def _num_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def can_merge(composition: Composition, networks: Iterable[nn.Module], max_bytes: int | None) -> bool:
    """Return whether the weights that `composition` touches can be exchanged without anybody else noticing.

    They cannot where two layers share one, or where an offloading library moves them about and would bring the
    pristine ones back; and they are not to be where a second copy takes more than `max_bytes`.
    """
    weights = [layer.weight for layer, _ in composition.sides]
    too_large = max_bytes is not None and sum(weight.nbytes for weight in weights) > max_bytes
    if too_large or any(weight.is_meta for weight in weights):
        return False
    uses: dict[int, int] = {}
    for network in networks:
        for module in network.modules():
            if _is_moved_about(module):
                return False
            for parameter in module.parameters(recurse=False):
                uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    return all(uses[id(weight)] == 1 for weight in weights)
