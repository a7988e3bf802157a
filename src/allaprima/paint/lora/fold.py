"""Folding: a second copy of the touched weights with the LoRAs inside, made while there is nothing else to do.

Folded weights are computed beside the pristine ones, layer by layer, and take their place all at once when the
last is done. So an interrupted fold has changed nothing, a picture never sees half of one, and taking a LoRA off
needs no arithmetic: the pristine weights were never written to.

By default a weight's *pointer* is exchanged, which takes microseconds. Where addresses must stay (CUDA graphs),
the *contents* are exchanged instead; the second copy then holds the pristine weights while the fold is shown.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from allaprima.paint.lora.composition import Composition, Slot
from allaprima.paint.lora.pages import empty_tensor_like
from allaprima.paint.lora.sidepath import SidePath, Target
from allaprima.paint.lora.update import LowRank, fold_into


@dataclass(eq=False)
class Folds:
    """The second copies of one rack's touched weights.

    Attributes:
        keep_addresses: exchange contents rather than pointers.
    """

    keep_addresses: bool
    _content: Hashable = None
    _copies: dict[str, Tensor] = field(default_factory=dict)
    """By key, memory for a folded weight."""
    _done: set[str] = field(default_factory=set)
    """The keys whose copies hold what `_content` says."""
    _pristine: dict[str, tuple[Target, Tensor]] = field(default_factory=dict)
    """By key, the layers that show a folded weight and their pristine weights."""

    @property
    def shown(self) -> bool:
        """Whether layers compute with folded weights."""
        return bool(self._pristine)

    @property
    def num_bytes(self) -> int:
        """What the second copies take in memory."""
        held = [*self._copies.values(), *(weight for _, weight in self._pristine.values())]
        return sum(tensor.nbytes for tensor in held)

    def work(
        self, content: Hashable, composition: Composition, weights: Sequence[float], until: float
    ) -> bool:
        """Fold until `until` (of `time.perf_counter`), at least one layer; return whether all are done.

        Args:
            content: what is being folded; work done for another content is discarded.
            composition: the side paths to fold in.
            weights: how often each LoRA counts.
            until: when to stop.
        """
        if content != self._content:
            self._done.clear()
            self._content = content
            self._copies = {
                slot.key: self._copies[slot.key] for slot in composition.plan if slot.key in self._copies
            }
        for slot, (layer, side) in zip(composition.plan, composition.sides, strict=True):
            if slot.key in self._done:
                continue
            self._fold(slot, layer, side, weights)
            self._done.add(slot.key)
            if time.perf_counter() >= until:
                break
        return len(self._done) == len(composition.plan)

    def show(self, composition: Composition) -> None:
        """Let every layer of `composition`, all of them done, compute with its folded weight."""
        for slot, (layer, _) in zip(composition.plan, composition.sides, strict=True):
            folded, weight = self._copies[slot.key], layer.weight
            if self.keep_addresses:
                # Pristine numbers are noted down as such before the weight is written to: whatever interrupts
                # this, `hide` finds them.
                numbers = folded.clone()
                folded.copy_(weight)
                self._pristine[slot.key] = (layer, self._copies.pop(slot.key))
                self._done.discard(slot.key)
                weight.data.copy_(numbers)
            else:
                self._pristine[slot.key] = (layer, weight.data)
                weight.data = folded
        # The copies are written to again by the next fold, which a weight that points at one does not count.
        increment_version([layer.weight for layer, _ in composition.sides])

    def hide(self) -> None:
        """Let every layer compute with its pristine weight again, bit for bit."""
        increment_version([layer.weight for layer, _ in self._pristine.values()])
        for key, (layer, pristine) in list(self._pristine.items()):
            if self.keep_addresses:
                layer.weight.data.copy_(pristine)
                self._copies[key] = pristine
            else:
                # A model moved to another device meanwhile took the folded weight along.
                layer.weight.data = pristine.to(layer.weight.device)
            del self._pristine[key]

    def forget(self) -> None:
        """Give the second copies back."""
        self.hide()
        self._copies.clear()
        self._done.clear()
        self._content = None

    def _fold(self, slot: Slot, layer: Target, side: SidePath, weights: Sequence[float]) -> None:
        weight = layer.weight.detach()
        if slot.key not in self._copies or self._copies[slot.key].device != weight.device:
            self._copies[slot.key] = empty_tensor_like(weight)
        stack = LowRank(down=side.down, up=side.up) if side.down is not None and side.up is not None else None
        scale = side.scale.vector if side.scale is not None and not side.scale.plain else None
        changes = [delta.float() * weights[i] for i, (delta, _) in zip(slot.dense, side.dense, strict=True)]
        dense = torch.stack(changes).sum(0) if len(changes) > 1 else changes[0] if changes else None
        fold_into(weight, stack, scale, dense, out=self._copies[slot.key])


def may_fold(composition: Composition, networks: Iterable[nn.Module], max_bytes: int | None) -> bool:
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
            if "_hf_hook" in vars(module) or "_diffusers_hook" in vars(module):
                return False
            for parameter in module.parameters(recurse=False):
                uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    return all(uses[id(weight)] == 1 for weight in weights)
