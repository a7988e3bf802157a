"""What a LoRA does to one weight, as plain maths.

    LowRank(down=A, up=B, scale=s)  # W + s B A
    Dense(delta=D)  # W + D
    Decomposed(change=..., magnitude=m, axis=0)  # m (W + s B A) / |W + s B A|

The scale is such as alpha / rank. It is brought into `up` when the update is prepared for a layer, so that nothing
beyond the user's own weight is ever multiplied on. Convolutions keep their kernel in `down`; `up` is then 1 x 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class LowRank:
    """The change `scale * up @ down` of rank r (Hu et al. 2021, arXiv:2106.09685)."""

    down: Tensor
    """The first matrix (r, in), or (r, in, kh, kw) for a convolution."""
    up: Tensor
    """The second matrix (out, r), or (out, r, 1, 1) for a convolution."""
    scale: float = 1.0
    """The factor of the product; `scale * up` is finite in float32."""

    def __post_init__(self) -> None:
        """Refuse matrices that cannot be multiplied."""
        down, up = tuple(self.down.shape), tuple(self.up.shape)
        linear = len(down) == 2 and len(up) == 2
        convolution = len(down) == 4 and len(up) == 4 and up[2:] == (1, 1)
        if not (linear or convolution) or down[0] != up[1] or not down[0]:
            raise ValueError(
                f"got down {down} and up {up}; expected (r, in) and (out, r), "
                "or (r, in, kh, kw) and (out, r, 1, 1), r at least 1"
            )

    @property
    def rank(self) -> int:
        """How many columns `up` has."""
        return self.down.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight it changes."""
        return (self.up.shape[0], *self.down.shape[1:])

    @property
    def num_bytes(self) -> int:
        """What its matrices take in memory."""
        return self.down.nbytes + self.up.nbytes


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense:
    """The change `delta`, as large as the weight itself: what LoHa and LoKr come to."""

    delta: Tensor
    """The change (out, in), or (out, in, kh, kw) for a convolution."""

    def __post_init__(self) -> None:
        """Refuse what is no weight of a linear layer or a convolution."""
        if self.delta.ndim not in {2, 4}:
            raise ValueError(f"got delta {tuple(self.delta.shape)}; expected (out, in) or (out, in, kh, kw)")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight it changes."""
        return tuple(self.delta.shape)

    @property
    def num_bytes(self) -> int:
        """What it takes in memory."""
        return self.delta.nbytes


FixedUpdate = LowRank | Dense
"""A change that is the same whatever the weight is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Decomposed:
    """DoRA (arXiv:2402.09353): the changed weight with its rows, or columns, brought to learned lengths."""

    change: FixedUpdate
    """What is added before."""
    magnitude: Tensor
    """The lengths, as many as the weight has rows or columns."""
    axis: int
    """0 where each output's row has a length, 1 where each input's column has."""
    scales_change: bool = False
    """What a LoRA's weight means. True: it scales the change inside, and the result has these lengths at any weight
    (PEFT). False: it is how far to go from the base's weight to the result (LyCORIS's files, as ComfyUI has them)."""

    def __post_init__(self) -> None:
        """Refuse lengths that do not fit the weight."""
        if self.magnitude.shape != (self.shape[self.axis],):
            raise ValueError(
                f"got {tuple(self.magnitude.shape)} lengths; expected {self.shape[self.axis]} for a weight "
                f"of {self.shape}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight it changes."""
        return self.change.shape

    @property
    def num_bytes(self) -> int:
        """What it takes in memory."""
        return self.change.num_bytes + self.magnitude.nbytes

    def delta(self, base: Tensor, weight: float) -> Tensor:
        """Return what is added to the weight `base`, float32, by a LoRA that counts `weight` times."""
        base = base.float()
        changed = self._changed(base, weight if self.scales_change else 1.0)
        others = [dim for dim in range(base.ndim) if dim != self.axis]
        lengths: Tensor = torch.linalg.vector_norm(changed, dim=others, keepdim=True)
        lengths = lengths + torch.finfo(torch.float32).eps
        magnitude = self.magnitude.to(base.device).float().view(lengths.shape)
        # In place: a weight of many megabytes is gone through often enough.
        delta = changed.mul_(magnitude / lengths).sub_(base)
        return delta if self.scales_change or weight == 1.0 else delta.mul_(weight)

    def _changed(self, base: Tensor, strength: float) -> Tensor:
        if isinstance(self.change, Dense):
            return torch.add(base, self.change.delta.to(base.device, torch.float32), alpha=strength)
        up, down = (
            half.to(base.device, torch.float32).flatten(1) for half in (self.change.up, self.change.down)
        )
        return torch.addmm(base.flatten(1), up, down, alpha=strength * self.change.scale).view(base.shape)


Update = FixedUpdate | Decomposed
"""What one LoRA does to one weight."""


def delta_of(update: Update, base: Tensor | None = None) -> Tensor:
    """Return the change itself, float32, shaped like the weight.

    Args:
        update: counted once.
        base: the weight, on which a DoRA's change depends.
    """
    if isinstance(update, Decomposed):
        assert base is not None, "the change of a DoRA depends on the weight"
        return update.delta(base, 1.0)
    if isinstance(update, Dense):
        return update.delta.float()
    up = update.up.flatten(1).float()
    up = up if update.scale == 1.0 else up * update.scale
    return (up @ update.down.flatten(1).float()).view(update.shape)


def padded_rank(rank: int, step: int) -> int:
    """Return the least multiple of `step` that holds `rank`."""
    return math.ceil(rank / step) * step


def write_stack(parts: list[LowRank], down: Tensor, up: Tensor) -> None:
    """Write `parts` side by side into `down` and `up`, so that one product does the work of all.

    Args:
        parts: updates of one weight; their order is the order of the ranks.
        down: (R, in) or (R, in, kh, kw), R at least the sum of the ranks, written in its own dtype.
        up: (out, R) or (out, R, 1, 1); ranks beyond the sum become zero in both.
    """
    if len(parts) == 1 and parts[0].rank == len(down):
        down.copy_(parts[0].down)
        up.copy_(_scaled_up(parts[0]))
        return
    begin = 0
    for part in parts:
        end = begin + part.rank
        down[begin:end].copy_(part.down)
        up[:, begin:end].copy_(_scaled_up(part))
        begin = end
    down[begin:].zero_()
    up[:, begin:].zero_()


def _scaled_up(part: LowRank) -> Tensor:
    # Rounded once, when it is copied.
    return part.up if part.scale == 1.0 else part.up.float() * part.scale


def merge_into(
    weight: Tensor, stack: LowRank | None, scale: Tensor | None, dense: Tensor | None, *, out: Tensor
) -> None:
    """Write `weight + up diag(scale) down + dense` into `out`, computed in float32 and rounded once.

    Products of bf16 are emulated on many processors, and rounding twice loses a small update.

    Args:
        weight: (out, in) or (out, in, kh, kw).
        stack: the low-rank updates side by side, if there are any.
        scale: (R,) the weight of each rank of `stack`; None if each is 1.
        dense: the weighted sum of dense updates, if there are any.
        out: of `weight`'s shape and dtype, and other memory.
    """
    base = weight.float()
    if stack is None:
        out.copy_(base if dense is None else base + dense)
        return
    up, down = stack.up.flatten(1).float(), stack.down.flatten(1).float()
    up = up if scale is None else up * scale.float()
    if dense is None and weight.dtype == torch.float32 and weight.is_contiguous() and out.is_contiguous():
        # What follows, without a third copy of the weight.
        torch.addmm(base.flatten(1), up, down, out=out.view(len(out), -1))
        return
    merged = torch.addmm(base.flatten(1), up, down).view(weight.shape)
    out.copy_(merged if dense is None else merged + dense)
