"""Group normalisation with the statistics of the whole picture, for tiles.

A group norm divides by the deviation of its own input, so it would give a tile of plain sky the contrast of a whole
picture. Its statistics are therefore measured once, on the picture made smaller, and used for all tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional


@contextmanager
def shared_statistics(
    networks: Iterable[nn.Module], work: Callable[[Tensor], object], whole: Tensor, cells: int, cell: int = 1
) -> Iterator[None]:
    """Let the group norms of `networks` use, inside the with-block, the statistics of `work` on a smaller `whole`.

    Args:
        networks: those that `work` runs; if they have no group norms, nothing is done.
        work: the computation that tiles go through inside the block.
        whole: (B, C, h, w), the first of which is measured.
        cells: about how many cells to measure.
        cell: numbers of `whole` along a side of a cell; sides stay multiples of it.
    """
    norms = [
        module for network in networks for module in network.modules() if isinstance(module, nn.GroupNorm)
    ]
    if not norms:
        yield
        return
    statistics = _measure(norms, partial(work, shrink(whole[:1], cells, cell)))
    before = {norm: vars(norm).get("forward") for norm in statistics}
    for norm, (mean, variance) in statistics.items():
        vars(norm)["forward"] = partial(_normalize, norm, mean, variance)
    try:
        yield
    finally:
        for norm, forward in before.items():
            if forward is None:
                del vars(norm)["forward"]
            else:
                vars(norm)["forward"] = forward


def shrink(whole: Tensor, cells: int, cell: int = 1) -> Tensor:
    """Return (B, C, h, w) at about `cells` cells of `cell` numbers a side.

    Its numbers are picked from the given ones, for averages would deviate less.
    """
    sides = [side // cell for side in whole.shape[2:]]
    factor = min(1.0, (cells / (sides[0] * sides[1])) ** 0.5)
    size = [max(1, round(side * factor)) * cell for side in sides]
    return functional.interpolate(whole, size=size, mode="nearest-exact")


def _measure(
    norms: list[nn.GroupNorm], run: Callable[[], object]
) -> dict[nn.GroupNorm, tuple[Tensor, Tensor]]:
    statistics: dict[nn.GroupNorm, tuple[Tensor, Tensor]] = {}

    def measure(norm: nn.Module, args: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.GroupNorm)
        groups = args[0].float().reshape(norm.num_groups, -1)
        variance, mean = torch.var_mean(groups, dim=1, correction=0)
        statistics[norm] = (mean, variance)

    handles = [norm.register_forward_pre_hook(measure) for norm in norms]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return statistics


def _normalize(norm: nn.GroupNorm, mean: Tensor, variance: Tensor, x: Tensor) -> Tensor:
    scale = torch.rsqrt(variance + norm.eps).repeat_interleave(norm.num_channels // norm.num_groups)
    shift = -mean.repeat_interleave(norm.num_channels // norm.num_groups) * scale
    if norm.affine:
        scale, shift = scale * norm.weight.float(), shift * norm.weight.float() + norm.bias.float()
    shaped = [part.to(x.dtype).view(1, -1, *[1] * (x.ndim - 2)) for part in (shift, scale)]
    return torch.addcmul(shaped[0], x, shaped[1])
