"""The names that a model's authors gave its weights, turned into those of diffusers by a table.

rename_weights(weights, (("img_in[.]weight", ("x_embedder.weight",)),))
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from allaprima.paint.bases.files.tensor_views import split_rows

Renaming = tuple[str, tuple[str, ...]]
"""A pattern of a whole name, and the names it becomes: several share its rows, none leave it out."""


def rename_weights(tensors: Mapping[str, Any], table: tuple[Renaming, ...]) -> dict[str, Any]:
    """Return a part's tensors, announced or stored, under other names; what no pattern fits keeps its own.

    Raises:
        WeightsError: a fused tensor's rows cannot be shared.
    """
    compiled = [(re.compile(pattern), names) for pattern, names in table]
    return dict(pair for name, tensor in tensors.items() for pair in _renamed(name, tensor, compiled))


def _renamed(
    name: str, tensor: Any, table: list[tuple[re.Pattern[str], tuple[str, ...]]]
) -> Iterator[tuple[str, Any]]:
    for pattern, names in table:
        if (match := pattern.fullmatch(name)) is not None:
            parts = [tensor] if len(names) <= 1 else split_rows(tensor, len(names))
            yield from zip(map(match.expand, names), parts, strict=False)
            return
    yield name, tensor
