"""Marks of weights, which show later whether the weights are still the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

SIDE = "side"
"""The attribute of a layer that holds a LoRA's side path, of which bases only call `add_to(out, x)`."""

Marks = tuple[tuple[int, torch.dtype, int], ...]


class WeightMarks:
    """Where the weights of some layers are, and how often each was written to.

    Args:
        layers: as they are now; only their own weights count, not those of their children.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers = layers
        self.marks = self._read_marks()
        """The address of each weight, its number format, and how often it was written to."""
        self._weights: list[Tensor] = []

    def __bool__(self) -> bool:
        """Return whether no weight was written to, cast or moved, and no layer has a LoRA or a hook."""
        return self.are_plain and self._read_marks() == self.marks

    @property
    def are_plain(self) -> bool:
        """Whether no layer has a LoRA or a hook."""
        return all(map(is_plain, self._layers))

    def hold(self) -> None:
        """Keep the weights alive, so that no others can take their addresses and pass for them."""
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
    """Return whether a layer's output depends on its weights alone."""
    return vars(layer).get(SIDE) is None and not layer._forward_hooks and not layer._forward_pre_hooks


def have_hooks(layers: Iterable[nn.Module]) -> bool:
    """Return whether any layer has hooks, which may have to see every picture."""
    return any(layer._forward_hooks or layer._forward_pre_hooks for layer in layers)
