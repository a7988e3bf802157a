"""A person as numbers: how much of each basis matrix a predicted LoRA holds, and what can be done with that.

Every vector of K numbers has length 1, as the resampler gives it, and stays so: averages and mixtures are scaled
back. A LoRA is the product of two mixtures, so averaging coefficients is not averaging LoRAs: it gives the person
between, not a LoRA of twice the rank (HyperLoRA, arXiv:2503.16944, section 3.2).

Shape letters: P projections, 2 for down and up, K basis matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON = 1e-8


@dataclass(frozen=True, kw_only=True, eq=False)
class Coefficients:
    """What a hypernetwork predicts from photos."""

    identity: Tensor
    """(P, 2, K) float: of the ID-LoRA, which is the face."""
    base: Tensor | None = None
    """(P, 2, K) float: of the Base-LoRA, which is the rest of the photo; None where none was predicted."""

    def __post_init__(self) -> None:
        """Refuse what is no pair of vectors for each projection."""
        for tensor in (self.identity, self.base):
            if tensor is not None and (tensor.ndim != 3 or tensor.shape[1] != 2):
                raise ValueError(
                    f"got coefficients {tuple(tensor.shape)}; expected (projections, 2, basis matrices)"
                )


def unit(vectors: Tensor) -> Tensor:
    """Return `vectors` (..., K) scaled to length 1; a vector of zeros stays one."""
    return vectors * (vectors.square().sum(dim=-1, keepdim=True) + EPSILON).rsqrt()


def average(people: Sequence[Coefficients], weights: Sequence[float] | None = None) -> Coefficients:
    """Return the person whom several predictions agree on.

    Args:
        people: at least one; of one person from several photos, or of several people.
        weights: how much each counts, positive in sum; None for equally much.

    Raises:
        ValueError: there is nobody, or the weights do not go with them.
    """
    shares = [1.0] * len(people) if weights is None else list(weights)
    if not people or len(shares) != len(people) or not sum(shares) > 0:
        raise ValueError(
            f"got {len(people)} people with weights {shares}; expected at least one, and as many weights, "
            "positive in sum"
        )
    bases = [person.base for person in people if person.base is not None]
    return Coefficients(
        identity=_mix([person.identity for person in people], shares),
        base=_mix(bases, shares) if len(bases) == len(people) else None,
    )


def interpolate(one: Coefficients, other: Coefficients, share: float) -> Coefficients:
    """Return the person who is `share`, 0 to 1, of the way from `one` to `other`."""
    return average([one, other], [1.0 - share, share])


def move(person: Coefficients, direction: Tensor, amount: float) -> Coefficients:
    """Return `person` moved along `direction` (P, 2, K), as `direction_between` gives it; the Base-LoRA stays."""
    return Coefficients(identity=unit(person.identity + amount * direction), base=person.base)


def direction_between(
    before: Sequence[Coefficients], after: Sequence[Coefficients], identities: Sequence[Coefficients] = ()
) -> Tensor:
    """Return the way (P, 2, K) from one set of photos to another, such as from young to old: a slider.

    Args:
        before: predictions at one end.
        after: predictions at the other end.
        identities: people whose differences are none of the slider's business. What the way has in common with the
            ways between them is taken out, so that moving the slider changes nobody into somebody else.
    """
    way = average(after).identity - average(before).identity
    if len(identities) < 2:
        return way
    faces = torch.stack([person.identity for person in identities]).movedim(0, -2)  # (P, 2, N, K)
    differences = faces - faces.mean(dim=-2, keepdim=True)
    # Their span, by projection: the right singular vectors whose values are not zero.
    _, values, spans = torch.linalg.svd(differences.float(), full_matrices=False)
    spans = spans * (values > values.amax(dim=-1, keepdim=True) * 1e-4).unsqueeze(-1)
    inside = torch.einsum("pdnk,pdk->pdn", spans, way.float())
    return way - torch.einsum("pdn,pdnk->pdk", inside, spans).to(way.dtype)


def similarity(one: Coefficients, other: Coefficients) -> float:
    """Return how alike two predictions are, -1 to 1: the mean cosine of their vectors."""
    return float((one.identity * other.identity).sum(dim=-1).mean())


def _mix(vectors: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    weights = torch.tensor(shares, dtype=vectors[0].dtype, device=vectors[0].device) / sum(shares)
    return unit(torch.einsum("npdk,n->pdk", torch.stack(list(vectors)), weights))
