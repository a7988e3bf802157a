"""From one part's file to its network: made on the meta device in the file's shapes, then given its weights.

    reader = PartReader.open(part, path, names=name_text_weights)
    network = reader.load(reader.make(build), torch.bfloat16, device, absent=False)

Weights stay as they are stored: quantised layers take the place of the network's own (`paint/quantization`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.checkpoint_errors import DAMAGED, in_one_line
from allaprima.paint.bases.diffusers_parts import quiet
from allaprima.paint.bases.files.header import FileHeader, StoredTensor
from allaprima.paint.bases.files.header_reader import read_header
from allaprima.paint.bases.files.parts import PartFile
from allaprima.paint.bases.files.stored_weights import read_weights
from allaprima.paint.quantization.loading import load_weights

PartShapes = Mapping[str, StoredTensor]
"""A part's tensors, as its file announces them, under the names of its network."""

Names = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Gives a part's tensors the names that its network has for them."""

_MOST_LAYERS = 512


@dataclass(frozen=True, kw_only=True)
class PartReader:
    """One part's file, from which its network is made."""

    header: FileHeader
    prefix: str
    names: Names

    @classmethod
    def open(cls, part: PartFile, path: Path, names: Names = dict) -> PartReader:
        """Return the reader of a part that is in the file at `path`."""
        header = read_header(path)
        prefix = part.find_prefix(header)
        if prefix is None:
            raise WeightsError(f"{path} does not hold {part.name}; expected a file that does")
        return cls(header=header, prefix=prefix, names=names)

    @property
    def shapes(self) -> PartShapes:
        """The part's tensors as the file announces them, under the network's names."""
        tensors = self.header.tensors.items()
        return self.names({
            name.removeprefix(self.prefix): tensor for name, tensor in tensors if name.startswith(self.prefix)
        })  # fmt: skip

    def make(self, build: Callable[[PartShapes], Any]) -> Any:
        """Return the network without weights, of the shapes that the file has."""
        from accelerate import init_empty_weights

        try:
            with quiet(), init_empty_weights():
                return build(self.shapes)
        except WeightsError as error:
            raise WeightsError(f"{self.header.path}: {error}") from error
        except DAMAGED as error:
            raise WeightsError(
                f"{self.header.path} has shapes that no network can be made of: {in_one_line(error)}; fetch it again"
            ) from error

    def load(self, network: Any, dtype: torch.dtype, device: torch.device, *, absent: bool) -> Any:
        """Give `network` its weights and return it; an `absent` one gets shapes and formats alone."""
        weights = self.names(read_weights(self.header, self.prefix, meta=absent))
        try:
            load_weights(network, weights, dtype=dtype, device="meta" if absent else device)
        except WeightsError as error:
            raise WeightsError(f"{self.header.path}: {error}") from error
        return network


def shape_in(shapes: PartShapes, name: str, num_sides: int) -> tuple[int, ...]:
    """Return the shape of a tensor that every file of the kind has; WeightsError if it has not so many sides."""
    found = shapes[name].shape if name in shapes else None
    if found is None or len(found) != num_sides or min(found) < 1:
        raise WeightsError(
            f"{name} {'is not there' if found is None else f'has the shape {list(found)}'}; expected {num_sides} "
            "sides, as in a whole file"
        )
    return found


def count_layers(names: Iterable[str], parent: str) -> int:
    """Return how many numbered layers stand in `parent`; WeightsError if there are none, or absurdly many."""
    layer = re.compile(rf"{re.escape(parent)}\.(\d{{1,6}})\.")
    count = len({found[1] for name in names if (found := layer.match(name))})
    if not 1 <= count <= _MOST_LAYERS:
        raise WeightsError(f"there are {count:,} layers; expected 1 to {_MOST_LAYERS}")
    return count
