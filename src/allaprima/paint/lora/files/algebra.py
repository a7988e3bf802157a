"""From the tensors a file holds for one layer to the update of its weight.

    LoRA, LoCon   scale * up @ down; `mid` is LoCon's core in the Tucker form
    LoHa          scale * (w1_a @ w1_b) o (w2_a @ w2_b)               o: element by element
    LoKr          scale * w1 x w2, each perhaps itself a product      x: Kronecker
    diff          the change itself
    DoRA          any of these, with lengths of the changed weight's rows or columns beside it

Sources: LoRA, arXiv:2106.09685; LoHa (FedPara), arXiv:2108.06098; LoKr and LoCon, LyCORIS, arXiv:2309.14859;
DoRA, arXiv:2402.09353.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from allaprima.paint.lora.update import Decomposed, Dense, FixedUpdate, LowRank, Update

ScaleOf = Callable[[int | None], float]
"""alpha / rank of a layer, given its rank; None where its tensors are whole and show none."""


class MisfitError(ValueError):
    """The tensors do not make an update of this layer; the message says what was got and expected."""


def update_from(parts: Mapping[str, Tensor], shape: tuple[int, ...], scale_of: ScaleOf) -> FixedUpdate:
    """Return the update that `parts` make of a weight.

    Args:
        parts: tensors by role, as `dialects.ENDINGS` calls them, without the alpha.

    Raises:
        MisfitError: a half is missing, ranks or shapes do not agree, or a scaled number is too large.
    """
    roles = frozenset(parts)
    for needed_words, optional_words, build in _RECIPES:
        needed, optional = set(needed_words.split()), set(optional_words.split())
        if roles & (needed | optional):
            if not needed <= roles <= needed | optional:
                raise MisfitError(f"got {_words(roles)}; expected {_words(needed) or 'factors of one kind'}")
            return build(parts, shape, scale_of)
    raise MisfitError(f"got {_words(roles) or 'an alpha alone'}; expected the two halves of an update")


def _low_rank(parts: Mapping[str, Tensor], shape: tuple[int, ...], scale_of: ScaleOf) -> FixedUpdate:
    down, up = parts["down"], parts["up"]
    inner = parts.get("mid", down)
    if min(down.ndim, inner.ndim, up.ndim) < 2 or up.shape[1] != len(inner):
        core = f" around a core {_size(inner.shape)}" if "mid" in parts else ""
        raise MisfitError(
            f"got halves {_size(down.shape)} and {_size(up.shape)}{core}; expected one rank in both"
        )
    scale = scale_of(len(down))
    if "mid" in parts:
        down = _tucker_down(parts["mid"], down)
    down, up = _shaped(down, len(shape)), _shaped(up, len(shape))
    if down.shape[1:] != shape[1:] or up.shape != (shape[0], len(down), *(1 for _ in shape[2:])):
        raise MisfitError(
            f"got halves {_size(down.shape)} and {_size(up.shape)}; expected r x "
            f"{_size(shape[1:])} and {shape[0]} x r for a weight of {_size(shape)}"
        )
    return LowRank(down=down, up=scaled(up, scale))


def _tucker_down(mid: Tensor, down: Tensor) -> Tensor:
    """Return the kernel (r, in, kh, kw) of a convolution kept as a core (r, r', kh, kw) and a (r', in, 1, 1)."""
    if mid.ndim != 4 or down[0].numel() != down.shape[1] or mid.shape[1] != len(down):
        raise MisfitError(f"got a core {_size(mid.shape)} with {_size(down.shape)}; expected (r, r, kh, kw)")
    return torch.einsum("mnkl,ni->mikl", mid.float(), down.flatten(1).float())


def _loha(parts: Mapping[str, Tensor], shape: tuple[int, ...], scale_of: ScaleOf) -> FixedUpdate:
    factors = [_loha_factor(parts, number, shape) for number in ("1", "2")]
    if factors[0].shape != factors[1].shape:
        raise MisfitError(
            f"got factors {_size(factors[0].shape)} and {_size(factors[1].shape)}; expected one size"
        )
    return _dense(factors[0] * factors[1], scale_of(len(parts["hada_w1_b"])))


def _loha_factor(parts: Mapping[str, Tensor], number: str, shape: tuple[int, ...]) -> Tensor:
    a, b = (parts[f"hada_w{number}_{half}"].float() for half in "ab")
    if f"hada_t{number}" in parts:
        return _tucker(parts[f"hada_t{number}"].float(), a, b)
    return _reshaped(_product(a, b), shape)


def _lokr(parts: Mapping[str, Tensor], shape: tuple[int, ...], scale_of: ScaleOf) -> FixedUpdate:
    if "lokr_t2" in parts:
        second = _tucker(parts["lokr_t2"].float(), *_pair(parts, "lokr_w2"))
    elif "lokr_w2" in parts:
        second = parts["lokr_w2"].float()
    else:
        second = _product(*_pair(parts, "lokr_w2"))
    first = parts["lokr_w1"].float() if "lokr_w1" in parts else _product(*_pair(parts, "lokr_w1"))
    if first.ndim != 2 or shape[0] % len(first) or shape[1] % first.shape[1]:
        raise MisfitError(
            f"got a first factor {_size(first.shape)}; expected one that divides {_size(shape)}"
        )
    second = _reshaped(second, (shape[0] // len(first), shape[1] // first.shape[1], *shape[2:]))
    halves = [parts[name] for name in ("lokr_w2_b", "lokr_w1_b") if name in parts]
    rank = next((len(half) for half in halves if half.ndim == 2), None)
    delta = torch.kron(first.reshape(*first.shape, *(1 for _ in shape[2:])), second)
    return _dense(delta, scale_of(rank))


def _pair(parts: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    if f"{name}_a" not in parts or f"{name}_b" not in parts:
        raise MisfitError(f"got {_words(parts)}; expected {name}, or {name}_a and {name}_b")
    return parts[f"{name}_a"].float(), parts[f"{name}_b"].float()


def _tucker(core: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return (out, in, kh, kw) from a core (r, r, kh, kw), a (r, out) and b (r, in)."""
    if core.ndim != 4 or a.ndim != 2 or b.ndim != 2 or core.shape[:2] != (len(a), len(b)):
        raise MisfitError(
            f"got a core {_size(core.shape)} with {_size(a.shape)} and {_size(b.shape)}; expected one rank"
        )
    return torch.einsum("ijkl,io,jn->onkl", core, a, b)


def _diff(parts: Mapping[str, Tensor], shape: tuple[int, ...], scale_of: ScaleOf) -> FixedUpdate:
    del scale_of
    return _dense(_reshaped(parts["diff"], shape), 1.0)


_RECIPES: tuple[tuple[str, str, Callable[..., FixedUpdate]], ...] = (
    ("down up", "mid", _low_rank),
    ("hada_w1_a hada_w1_b hada_w2_a hada_w2_b", "hada_t1 hada_t2", _loha),
    ("", "lokr_w1 lokr_w1_a lokr_w1_b lokr_w2 lokr_w2_a lokr_w2_b lokr_t2", _lokr),
    ("diff", "", _diff),
)
"""Roles that must be there, roles that may be, and what is made of them."""


def decomposed(change: FixedUpdate, role: str, lengths: Tensor) -> Decomposed:
    """Return `change` as a DoRA's, whose rows or columns have `lengths`.

    Args:
        change: of the weight.
        role: "dora" where the shape of the tensor says which they are (LyCORIS), "magnitude" for rows (PEFT).
        lengths: as the file has them.

    Raises:
        MisfitError: they are as many as neither.
    """
    shape = tuple(lengths.shape)
    kernel = (1,) * (len(change.shape) - 2)
    rows = {(change.shape[0], 1, *kernel), (change.shape[0],)}
    columns = {(1, change.shape[1], *kernel)}
    if role == "magnitude":
        rows |= {(1, change.shape[0], *kernel)}
    elif shape in columns - rows:
        return Decomposed(change=change, magnitude=lengths.flatten(), axis=1)
    if shape not in rows:
        raise MisfitError(
            f"got {_size(shape)} lengths of a DoRA; expected one for each row of {_size(change.shape)}"
        )
    return Decomposed(change=change, magnitude=lengths.flatten(), axis=0, scales_change=role == "magnitude")


def split_rows(update: Update, sizes: Sequence[int]) -> list[Update]:
    """Return the update of each of several layers, whose rows, so many each, are one weight in the file.

    Raises:
        MisfitError: they share lengths that several layers cannot.
    """
    if isinstance(update, LowRank):
        return [
            LowRank(down=update.down, up=up, scale=update.scale) for up in torch.split(update.up, list(sizes))
        ]
    if isinstance(update, Dense):
        return [Dense(delta=delta) for delta in torch.split(update.delta, list(sizes))]
    if update.axis != 0:
        raise MisfitError(
            "got a DoRA with lengths of columns that go through several layers here; expected rows'"
        )
    changes = split_rows(update.change, sizes)
    lengths = torch.split(update.magnitude, list(sizes))
    return [
        replace(update, change=change, magnitude=magnitude)
        for change, magnitude in zip(changes, lengths, strict=True)
        if not isinstance(change, Decomposed)
    ]


def swap_halves(update: Update) -> Update:
    """Return the update of a layer whose rows stand in the file with the second half first."""
    if isinstance(update, Decomposed):
        lengths = update.magnitude if update.axis else _swapped(update.magnitude)
        return replace(update, change=_swap_fixed(update.change), magnitude=lengths)
    return _swap_fixed(update)


def _swap_fixed(update: FixedUpdate) -> FixedUpdate:
    if isinstance(update, LowRank):
        return replace(update, up=_swapped(update.up))
    return replace(update, delta=_swapped(update.delta))


def _swapped(rows: Tensor) -> Tensor:
    return torch.cat([rows[len(rows) // 2 :], rows[: len(rows) // 2]])


def _product(a: Tensor, b: Tensor) -> Tensor:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != len(b):
        raise MisfitError(f"got factors {_size(a.shape)} and {_size(b.shape)}; expected one rank in both")
    return a @ b


def _reshaped(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return `tensor` as a weight of `shape`: a matrix may stand for a convolution's kernel, row by row."""
    if tensor.ndim < 2 or len(tensor) != shape[0] or tensor.numel() != math.prod(shape):
        raise MisfitError(f"got {_size(tensor.shape)}; expected {_size(shape)}")
    return tensor.reshape(shape).contiguous()


def _shaped(half: Tensor, ndim: int) -> Tensor:
    """Return a half with as many dimensions as the weight; a 1x1 convolution and a linear layer are one thing."""
    if half.ndim == ndim or (half.ndim > 2 and any(size != 1 for size in half.shape[2:])):
        return half
    return half.reshape(*half.shape[:2], *(1 for _ in range(ndim - 2)))


def _dense(delta: Tensor, scale: float) -> Dense:
    if not delta.isfinite().all():
        raise MisfitError("got factors whose product is infinite; expected a trained LoRA's")
    return Dense(delta=scaled(delta, scale))


def scaled(tensor: Tensor, scale: float) -> Tensor:
    """Return `scale * tensor`, in its own dtype if that is exact and in float32 if it is not.

    Raises:
        MisfitError: a number becomes infinite.
    """
    if scale == 1.0:
        return tensor
    exact = tensor.float() * scale
    if not exact.isfinite().all():
        raise MisfitError(
            f"got a scale of {scale:g} that makes infinity of its numbers; expected alpha near the rank"
        )
    short = exact.to(tensor.dtype)
    return short if torch.equal(short.float(), exact) else exact


def _size(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape)) or "one number"


def _words(roles: Iterable[str]) -> str:
    return " and ".join(sorted(roles))
