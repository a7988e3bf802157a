"""Which places of a network a loss wants changed, and the ranks that a budget of parameters buys there.

The gradient G of the loss with respect to a weight says how the weight should move. A LoRA of rank r can follow at
most the r largest singular directions of G (Eckart and Young 1936). Plain descent would go along each as far as it is
long, and gain the sum of their squares; Adam's steps are about equally long whatever the gradient, so that to first
order it gains the sum itself, the Ky Fan norm. By squares a place's first directions are nearly all of it, so that
ranks above 4 seldom pay; students of such ranks are judged worse (lab-notes/LOG.md).

Ranks are given out greedily: always the next step whose gain per parameter is greatest. Places whose gradient is
zero, such as a last block's text stream that leads nowhere, get none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from allaprima.core.errors import UserError
from allaprima.core.files import write_whole
from allaprima.lab.distill.network import Network
from allaprima.lab.distill.target_modules import TargetModule, num_parameters

CHOICES = (4, 8, 16)
"""The ranks a place may get, besides none."""


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """How much a loss wants each place changed."""

    spectra: Mapping[str, tuple[float, ...]]
    """Path to the largest singular values of the gradient there, falling."""

    def gain(self, path: str, rank: int) -> float:
        """Return what rank `rank` can gain at a place, to first order."""
        return sum(self.spectra.get(path, ())[:rank])


def measure_sensitivity(
    network: Network, targets: Sequence[TargetModule], loss: Callable[[int], Tensor], *, batches: int = 8
) -> Sensitivity:
    """Return the spectra of the loss's mean gradient at every target.

    Args:
        network: the frozen network; afterwards it wants no gradients, as before.
        loss: the number of a batch to its loss, computed with `network`.
    """
    weights = {target.path: _weight(network, target) for target in targets}
    for weight in weights.values():
        weight.requires_grad_(True)
    try:
        for batch in range(batches):
            torch.autograd.backward(loss(batch) / batches, inputs=list(weights.values()))
        return Sensitivity(spectra={path: _spectrum(weight.grad) for path, weight in weights.items()})
    finally:
        for weight in weights.values():
            weight.grad = None
            weight.requires_grad_(False)


def allot(targets: Sequence[TargetModule], sensitivity: Sensitivity, budget: int) -> dict[str, int]:
    """Return ranks whose LoRA has at most `budget` parameters."""
    by_path = {target.path: target for target in targets}
    ranks = dict.fromkeys(by_path, 0)
    left = budget
    while True:
        offers = []
        for path, rank in ranks.items():
            for after in (choice for choice in CHOICES if choice > rank):
                cost = (after - rank) * by_path[path].cost
                gain = sensitivity.gain(path, after) - sensitivity.gain(path, rank)
                if gain > 0 and cost <= left:
                    offers.append((gain / cost, path, after, cost))
        if not offers:
            break
        _, path, after, cost = max(offers)
        ranks[path] = after
        left -= cost
    return {path: rank for path, rank in ranks.items() if rank}


def write_ranks(path: Path, ranks: Mapping[str, int], targets: Sequence[TargetModule]) -> None:
    """Write `ranks.json`: the ranks, and what they come to."""
    data = {"parameters": num_parameters(targets, ranks), "ranks": dict(ranks)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(data, indent=1) + "\n").encode(), overwrite=True)


def read_ranks(path: Path) -> dict[str, int]:
    """Return the ranks that :func:`write_ranks` wrote."""
    try:
        ranks = json.loads(path.read_text(encoding="utf-8"))["ranks"]
        return {target: int(rank) for target, rank in ranks.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"cannot read {path}: {error!r}; expected the ranks as they were written") from error


def _weight(network: Network, target: TargetModule) -> nn.Parameter:
    weight = network.network.get_submodule(target.path).weight
    assert isinstance(weight, nn.Parameter)
    return weight


def _spectrum(gradient: Tensor | None) -> tuple[float, ...]:
    """Return the largest singular values, falling; none where no gradient came."""
    if gradient is None or not bool(gradient.any()):
        return ()
    matrix, most = gradient.flatten(1).float(), max(CHOICES)
    if min(matrix.shape) <= 1024:
        values = torch.linalg.svdvals(matrix)
    else:
        with torch.random.fork_rng(devices=[matrix.device] if matrix.is_cuda else []):
            torch.manual_seed(0)
            _, values, _ = torch.svd_lowrank(matrix, q=4 * most, niter=4)
    return tuple(values[:most].tolist())
