"""Whether layers are still as they were when something was computed from their weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

SIDE = "side"
"""Where a layer keeps a LoRA's side path; the bases know nothing of it but `add_to(out, x)`."""

Marks = tuple[tuple[int, torch.dtype, int], ...]


class WeightMarks:
    """Layers, and where and what their weights were.

    Args:
        layers: as they are now; of each only what is its own counts, not its children's.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers = layers
        self.marks = self._read_marks()
        """Where each weight lies, its format and how often it was written to."""
        self._weights: list[Tensor] = []

    def __bool__(self) -> bool:
        """Whether no weight was written to, cast or moved, and no layer wears a LoRA or a hook."""
        return self.are_plain and self._read_marks() == self.marks

    @property
    def are_plain(self) -> bool:
        """Whether no layer wears a LoRA or a hook."""
        return all(map(is_plain, self._layers))

    def hold(self) -> None:
        """Keep the weights alive, so that no others can come to lie at the same addresses and pass for them."""
        self._weights = self._weights or [
            parameter.data for layer in self._layers for parameter in layer.parameters(recurse=False)
        ]

    def _read_marks(self) -> Marks:
        return tuple(
            (parameter.data_ptr(), parameter.dtype, 0 if parameter.is_inference() else parameter._version)
            for layer in self._layers
            for parameter in layer.parameters(recurse=False)
        )


def is_plain(layer: nn.Module) -> bool:
    """Whether nothing but its weights makes the numbers of a layer."""
    return vars(layer).get(SIDE) is None and not layer._forward_hooks and not layer._forward_pre_hooks


def have_hooks(layers: Iterable[nn.Module]) -> bool:
    """Whether a layer has hooks, which may want to see every picture."""
    return any(layer._forward_hooks or layer._forward_pre_hooks for layer in layers)
