"""Several LoRAs as one: for each layer they touch, their matrices side by side, ready as a side path.

A *plan* says what lies where: it depends on which layers and ranks there are, not on the numbers. Two LoRAs of one
shape have equal plans, so that one can be copied over the other in a single copy and every address stays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from allaprima.paint.lora.pages import Blocks
from allaprima.paint.lora.runtime.dtype_conversion import convert_together
from allaprima.paint.lora.runtime.side_path import AdaptedLayer, Scale, SidePath, pristine_weight, weight_kind
from allaprima.paint.lora.update import Decomposed, Dense, LowRank, Update, padded_rank, write_stack

RANK_STEP = 16
"""A layer's ranks are padded to a multiple of it; compiled graphs are made once per padded rank."""

_ALIGNMENT = 64
"""Bytes; a cache line, so that no two matrices share one."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """What several LoRAs put on one layer."""

    key: str
    """The network's name, a dot, and the layer's path."""
    ranks: tuple[tuple[int, int], ...]
    """Pairs (index of the LoRA, its rank), in the order of the LoRAs."""
    rank: int
    """All ranks together, padded."""
    dense: tuple[int, ...]
    """The indices of the LoRAs with a dense update here, or one that becomes so with the layer's weight."""
    shape: tuple[int, ...]
    """The shape of the layer's weight."""
    dtype: torch.dtype
    """The dtype that the layer computes in."""
    decomposed: tuple[int, ...] = ()
    """Those of `dense` whose change depends on the layer's weight."""

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of `down`, `up` (if there are ranks) and of each dense change."""
        kernel = (1,) * (len(self.shape) - 2)
        stack = ((self.rank, *self.shape[1:]), (self.shape[0], self.rank, *kernel)) if self.rank else ()
        return (*stack, *(self.shape for _ in self.dense))


SlotPlan = tuple[Slot, ...]
RankLayout = tuple[tuple[tuple[int, int], ...], int, torch.dtype]
"""How the ranks of a layer are laid out: `Slot.ranks`, `Slot.rank`, `Slot.dtype`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Composition:
    """Side paths for every layer that some LoRAs touch."""

    plan: SlotPlan
    """What lies where."""
    sides: tuple[tuple[AdaptedLayer, SidePath], ...]
    """Pairs (layer, its side path), in the plan's order."""
    scales: Mapping[RankLayout, Scale]
    """By the layout of ranks, the scale that all layers of that layout share."""
    weights: Tensor
    """The weight of each LoRA (n,), for the dense updates."""
    storage: Tensor
    """One block of bytes under all matrices, or under those that could not be used where they lay."""
    decomposed: Mapping[str, Mapping[int, Decomposed]] = field(default_factory=dict)
    """By layer's key and LoRA's index, the updates whose dense change `decompose` computes."""

    def set_weights(self, weights: Sequence[float]) -> None:
        """Let LoRA i count `weights[i]` times; no matrix is touched."""
        self.weights.copy_(torch.tensor(weights))
        plain = all(weight == 1.0 for weight in weights)
        for (ranks, padded, _), scale in self.scales.items():
            values = [weights[index] for index, rank in ranks for _ in range(rank)]
            scale.vector.copy_(torch.tensor(values + [0.0] * (padded - len(values))))
            scale.plain = plain

    def decompose(self, updates: Mapping[str, Mapping[int, Decomposed]], weights: Sequence[float]) -> None:
        """Compute the dense changes of `updates`, each LoRA i counting `weights[i]` times, from pristine weights."""
        for slot, (layer, side) in zip(self.plan, self.sides, strict=True):
            if slot.decomposed:
                base = pristine_weight(layer)
                for index, (delta, _) in zip(slot.dense, side.dense, strict=True):
                    if index in slot.decomposed:
                        delta.copy_(updates[slot.key][index].delta(base, weights[index]))

    def load(self, other: Composition) -> None:
        """Copy the numbers of `other`, which has the same plan and storage of its own; addresses stay."""
        self.storage.copy_(other.storage)


def plan_slots(updates: Sequence[Mapping[str, Update]], layers: Mapping[str, AdaptedLayer]) -> SlotPlan:
    """Return what lies where for LoRAs in this order."""
    keys = sorted(set().union(*updates))
    slots = []
    for key in keys:
        here = [(index, lora[key]) for index, lora in enumerate(updates) if key in lora]
        ranks = tuple((index, update.rank) for index, update in here if isinstance(update, LowRank))
        shape, dtype = weight_kind(layers[key])
        slots.append(
            Slot(
                key=key,
                ranks=ranks,
                rank=padded_rank(sum(rank for _, rank in ranks), RANK_STEP),
                dense=tuple(index for index, update in here if not isinstance(update, LowRank)),
                shape=shape,
                dtype=dtype,
                decomposed=tuple(index for index, update in here if isinstance(update, Decomposed)),
            )
        )
    return tuple(slots)


def compose(
    plan: SlotPlan,
    updates: Sequence[Mapping[str, Update]],
    layers: Mapping[str, AdaptedLayer],
    blocks: Blocks,
    *,
    own_storage: bool,
) -> Composition:
    """Return the side paths of `updates` by `plan`, every weight at 1.

    Args:
        own_storage: copy every matrix; otherwise those already as needed are used where they lie.
    """
    ready, storage = (dict[str, list[Tensor]](), None) if own_storage else _ready(plan, updates, blocks)
    composition = replace(
        _lay_out(plan, ready, layers, blocks, len(updates), storage), decomposed=_decomposed(plan, updates)
    )
    for slot, (_, side) in zip(plan, composition.sides, strict=True):
        if slot.key not in ready:
            _fill(slot, side, updates)
    composition.set_weights([1.0] * len(updates))
    return composition


def empty_like(composition: Composition) -> Composition:
    """Return a composition of the same plan and layers in storage of its own, its numbers not yet set."""
    layers = {slot.key: layer for slot, (layer, _) in zip(composition.plan, composition.sides, strict=True)}
    blocks = Blocks(composition.storage.device)
    return _lay_out(composition.plan, {}, layers, blocks, len(composition.weights))


def _in_place(
    slot: Slot, updates: Sequence[Mapping[str, Update]], device: torch.device
) -> list[Tensor] | None:
    """Return the only update's own tensors if nothing about them has to change but perhaps dtype and scale."""
    if len(slot.ranks) + len(slot.dense) != 1:
        return None
    update = updates[slot.ranks[0][0] if slot.ranks else slot.dense[0]][slot.key]
    if isinstance(update, Decomposed):
        return None
    tensors = [update.delta] if isinstance(update, Dense) else [update.down, update.up]
    for tensor, shape in zip(tensors, slot.shapes, strict=True):
        if tensor.shape != shape or tensor.device != device or not tensor.is_contiguous():
            return None
    return tensors


def _ready(
    plan: SlotPlan, updates: Sequence[Mapping[str, Update]], blocks: Blocks
) -> tuple[dict[str, list[Tensor]], Tensor | None]:
    """Return what can be used without a copy of its own, and the storage under it if that is new."""
    ready: dict[str, list[Tensor]] = {}
    to_convert: list[tuple[Slot, list[Tensor]]] = []
    scales: list[float] = []
    for slot in plan:
        tensors = _in_place(slot, updates, blocks.device)
        if tensors is None:
            continue
        scale = _scale_of(slot, updates)
        if scale == 1.0 and all(tensor.dtype == slot.dtype for tensor in tensors):
            ready[slot.key] = [tensor.detach() for tensor in tensors]
        else:
            to_convert.append((slot, tensors))
            scales.append(scale)
    dtypes = {slot.dtype for slot, _ in to_convert}
    # Scaling after the conversion would round twice in anything narrower than float32.
    exact = dtypes == {torch.float32} or all(scale == 1.0 for scale in scales)
    if not to_convert or len(ready) + len(to_convert) < len(plan) or len(dtypes) > 1 or not exact:
        return ready, None
    matrices = [matrix for _, tensors in to_convert for matrix in tensors]
    conversion = convert_together(matrices, to_convert[0][0].dtype, blocks)
    if conversion is None:
        return ready, None
    storage, converted = conversion
    views = iter(converted)
    ready |= {slot.key: [next(views) for _ in tensors] for slot, tensors in to_convert}
    scaled = [(slot, scale) for (slot, _), scale in zip(to_convert, scales, strict=True) if scale != 1.0]
    if scaled:
        ups = [ready[slot.key][-1] for slot, _ in scaled]
        torch._foreach_mul_(ups, [scale for _, scale in scaled])
    return ready, storage


def _scale_of(slot: Slot, updates: Sequence[Mapping[str, Update]]) -> float:
    """Return what the only update of a layer is to be multiplied with."""
    update = updates[slot.ranks[0][0]][slot.key] if slot.ranks else None
    return update.scale if isinstance(update, LowRank) else 1.0


def _lay_out(
    plan: SlotPlan,
    ready: Mapping[str, list[Tensor]],
    layers: Mapping[str, AdaptedLayer],
    blocks: Blocks,
    count: int,
    storage: Tensor | None = None,
) -> Composition:
    copied = [slot for slot in plan if slot.key not in ready]
    sizes = [_num_bytes(shape, slot.dtype) for slot in copied for shape in slot.shapes]
    storage = blocks.take(sum(sizes)) if storage is None else storage
    pieces = iter(torch.split(storage, sizes) if sizes else ())
    weights = torch.ones(count, device=blocks.device)
    scales: dict[RankLayout, Scale] = {}
    sides = []
    for slot in plan:
        tensors = ready.get(slot.key)
        if tensors is None:
            tensors = [_shaped(next(pieces), shape, slot.dtype) for shape in slot.shapes]
        sides.append((layers[slot.key], _side_path(slot, tensors, scales, weights)))
    return Composition(plan=plan, sides=tuple(sides), scales=scales, weights=weights, storage=storage)


def _side_path(
    slot: Slot, tensors: list[Tensor], scales: dict[RankLayout, Scale], weights: Tensor
) -> SidePath:
    stack, deltas = (tensors[:2], tensors[2:]) if slot.rank else ([], tensors)
    scale = None
    if stack:
        layout = (slot.ranks, slot.rank, slot.dtype)
        if layout not in scales:
            scales[layout] = Scale(torch.empty(slot.rank, dtype=slot.dtype, device=weights.device))
        scale = scales[layout]
    down, up = stack or (None, None)
    # What a weight does to a decomposed change is in that change.
    once = weights.new_ones(()) if slot.decomposed else None
    dense = tuple(
        (delta, once if once is not None and index in slot.decomposed else weights[index])
        for index, delta in zip(slot.dense, deltas, strict=True)
    )
    return SidePath(down=down, up=up, scale=scale, dense=dense)


def _fill(slot: Slot, side: SidePath, updates: Sequence[Mapping[str, Update]]) -> None:
    if side.down is not None and side.up is not None:
        parts = [updates[index][slot.key] for index, _ in slot.ranks]
        write_stack([part for part in parts if isinstance(part, LowRank)], side.down, side.up)
    for index, (delta, _) in zip(slot.dense, side.dense, strict=True):
        update = updates[index][slot.key]
        if isinstance(update, Dense):
            delta.copy_(update.delta)


def _decomposed(plan: SlotPlan, updates: Sequence[Mapping[str, Update]]) -> dict[str, dict[int, Decomposed]]:
    found: dict[str, dict[int, Decomposed]] = {}
    for slot in plan:
        for index in slot.decomposed:
            update = updates[index][slot.key]
            assert isinstance(update, Decomposed)
            found.setdefault(slot.key, {})[index] = update
    return found


def _shaped(piece: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    size = math.prod(shape) * dtype.itemsize
    return (piece if len(piece) == size else piece[:size]).view(dtype).view(shape)


def _num_bytes(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    return math.ceil(math.prod(shape) * dtype.itemsize / _ALIGNMENT) * _ALIGNMENT
